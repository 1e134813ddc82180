import type { Command } from "../../proto/commands.ts";
import type { PreviewExpiryRow } from "../shared/state-keys.ts";
import { listDuePreviews } from "../shared/state-queries.ts";
import type { RelaySource } from "./relay-events.ts";
import { sweepCommand } from "./sweep-command.ts";

/** How often due previews are looked for: their end is exact to within 5 s. */
export const EXPIRY_SWEEP_MS = 1_000;
/** A command that the log refused as early (its clock is behind this one) is sent anew after this long. */
export const REPEAT_MS = 2_000;
/** Bounds one sweep: all that ends in the same second is ended within the five that are promised. */
const PREVIEWS_PER_SWEEP = 4_096;
/** Commands on their way at a time: one by one the log takes some 200 a second, together ten times as many. */
const AT_ONCE = 128;

/**
 * Sends an `expire` command for each preview whose end has come, with the end that was seen: whatever came before it in the log
 * decides. Two sweepers send the same command, which counts once.
 * @returns how many were sent. @throws when the log does not answer: call it again
 */
export async function expirePreviews(options: {
  source: RelaySource;
  append(command: Command): Promise<unknown>;
  nowMs: number;
}): Promise<number> {
  const { source, append, nowMs } = options;
  const due = source.read((view) => listDuePreviews(view, nowMs, PREVIEWS_PER_SWEEP));
  for (let at = 0; at < due.length; at += AT_ONCE)
    await Promise.all(due.slice(at, at + AT_ONCE).map((row) => append(commandOf(row, nowMs))));
  return due.length;
}

function commandOf(row: PreviewExpiryRow, nowMs: number): Command {
  const { org, project, name, expires_at } = row;
  const nth = Math.floor((nowMs - Date.parse(expires_at)) / REPEAT_MS);
  const body = { type: "preview.expire", name, expires_at } as const;
  return sweepCommand({ org, project }, body, [org, project, name, expires_at, nth]);
}
