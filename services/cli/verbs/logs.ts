import { EXIT } from "../../../proto/errors.ts";
import type { LogLineJson, PublishLogJson } from "../../../proto/http-log.ts";
import { TERMINAL_STATES } from "../../../proto/records.ts";
import type { ApiClient } from "../http/api-client.ts";
import { followServerEvents } from "../http/follow-server-events.ts";
import { parseJson } from "../http/open-request.ts";
import { formatTime, printable } from "../output/format.ts";
import type { Output } from "../output/output.ts";
import { findPublishId } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Shows what a publish was told about itself; with -f until it has ended. With --json one line of the log a line. */
export const logs: VerbHandler<"logs"> = async ({ args, flags, output, interrupted, api, pasteable }) => {
  const client = api();
  let publishId = args[0] ?? "";
  let last = flags.text("from");
  try {
    publishId = await findPublishId(client, publishId);
    const lines = flags.has("follow")
      ? follow(client, { publishId, from: last, output })
      : read(client, { publishId, from: last, output, followIt: pasteable("logs", publishId, "-f") });
    for await (const line of lines) {
      last = line.cursor;
      output.emit(line, () => output.line(textOf(line, output)));
    }
    return EXIT.ok;
  } catch (error) {
    if (!interrupted.aborted) throw error;
    const from = last === undefined ? [] : ["--from", last];
    output.note(`go on from here: ${pasteable("logs", publishId, "-f", ...from)}`);
    return EXIT.interrupted;
  }
};

interface LogRequest {
  readonly publishId: string;
  readonly from: string | undefined;
  readonly output: Output;
}

async function* read(
  client: ApiClient,
  { publishId, from, output, followIt }: LogRequest & { readonly followIt: string },
): AsyncGenerator<LogLineJson, void, undefined> {
  let cursor = from;
  for (;;) {
    const page = await client.get<PublishLogJson>(pathOf(publishId), { cursor });
    yield* page.items;
    if (page.next_cursor === null) {
      if (!TERMINAL_STATES.has(page.state))
        output.note(`the publish is ${page.state}; follow it: ${followIt}`);
      return;
    }
    cursor = page.next_cursor;
  }
}

async function* follow(
  client: ApiClient,
  { publishId, from, output }: LogRequest,
): AsyncGenerator<LogLineJson, void, undefined> {
  const messages = followServerEvents(client, {
    path: pathOf(publishId),
    query: {},
    from,
    onLost: (failure) => output.note(`${failure.message}; reconnecting`),
  });
  for await (const { event, data } of messages) {
    if (event === "end") return;
    // The shape is the farm's promise (proto/http.ts).
    if (event === "line") yield parseJson(data) as LogLineJson;
  }
}

function pathOf(publishId: string): string {
  return `/v1/publishes/${encodeURIComponent(publishId)}/logs`;
}

function textOf({ at, level, text }: LogLineJson, output: Output): string {
  const mark = level === "info" ? "" : `${output.styled(level === "warn" ? "yellow" : "red", `${level}:`)} `;
  return `${formatTime(at)}  ${mark}${printable(text)}`;
}
