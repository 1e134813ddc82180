import { actorText } from "../../proto/actor-text.ts";
import { ERROR_CODES, GranaryError } from "../../proto/errors.ts";
import { END_OF_LOG, type LogLine, parseLog } from "../../proto/publish-log.ts";
import { type PublishRecord, TERMINAL_STATES } from "../../proto/records.ts";
import { KEYS } from "../shared/state-keys.ts";
import type { ApiContext } from "./context.ts";

/**
 * The whole log of a publish: how it was accepted, what was written while it ran (stored since its end, else by this process), and
 * what came of it. First and last are made of the record, so that no log is without them.
 */
export async function readPublishLog(
  context: Pick<ApiContext, "read" | "store" | "publishLogs">,
  record: PublishRecord,
): Promise<LogLine[]> {
  const lines = await workLines(context, record);
  return [accepted(record), ...lines, ...ended(record)];
}

async function workLines(
  context: Pick<ApiContext, "read" | "store" | "publishLogs">,
  record: PublishRecord,
): Promise<readonly LogLine[]> {
  const sealed = context.read((view) => view.get(KEYS.publishLog(record.publish_id)));
  if (sealed !== undefined) {
    try {
      return parseLog(await context.store.read(sealed.digest));
    } catch (error) {
      if (!(error instanceof GranaryError)) throw error;
      return [absent(record, `what was written meanwhile cannot be read: ${error.code}`)];
    }
  }
  const live = context.publishLogs.lines(record.publish_id);
  if (live.length > 0 || record.attempt === 0) return live;
  const why = TERMINAL_STATES.has(record.state)
    ? "is not kept (any more)"
    : "is with the process that runs it";
  return [absent(record, `attempt ${record.attempt} on node ${record.node}: what it wrote ${why}`)];
}

/** Before all lines of its attempt, should they turn up after all. */
function absent(record: PublishRecord, text: string): LogLine {
  const at = record.started_at ?? record.created_at;
  return { attempt: record.attempt, n: 0, at, level: "warn", text };
}

function accepted(record: PublishRecord): LogLine {
  const { upload, commit, channel, created_at: at } = record;
  const what = upload.form === "listing" ? "a directory" : "an archive";
  const text = `accepted from ${actorText(record.created_by)} for ${channel}: ${what}, ${upload.size.toLocaleString("en-US")} bytes sent, ${upload.digest}${commit === null ? "" : `, commit ${commit}`}`;
  return { attempt: 0, n: 1, at, level: "info", text };
}

function ended(record: PublishRecord): LogLine[] {
  const { ended_at: at, state, error } = record;
  if (at === undefined) return [];
  const line = (level: LogLine["level"], text: string): LogLine[] => [{ ...END_OF_LOG, at, level, text }];
  if (state === "ready") return line("info", readyText(record));
  if (error === undefined) return line("warn", `${state}${by(record)}`);
  return line("error", `${state}: ${error.code}: ${error.message}; ${ERROR_CODES[error.code].hint}`);
}

function readyText({ version, existing, image_digest }: PublishRecord): string {
  if (version === undefined) return `ready: the preview shows ${image_digest}`;
  return existing === true ? `ready: ${version} has this image already` : `ready: it is ${version}`;
}

function by({ overtaken_by }: PublishRecord): string {
  return overtaken_by === undefined ? "" : ` by ${overtaken_by}`;
}
