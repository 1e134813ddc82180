import { existsSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { GranaryError } from "../../proto/errors.ts";
import { NATS_ACCOUNTS, STREAMS } from "../../proto/subjects.ts";
import type { NatsPaths } from "./nats-paths.ts";
import { syncFile } from "./sync-file.ts";

/** What is in them is made from the state, and made again. */
const REMADE: ReadonlySet<string> = new Set([STREAMS.events, STREAMS.publishJobs, STREAMS.digests]);

/** The stream that a server says it cannot read, once it has tried. */
export function unreadableStream(health: string): string | undefined {
  return /^JetStream stream '[A-Z]+ > ([A-Z_]+)' could not be recovered$/.exec(health)?.[1];
}

/**
 * Moves away what a stopped server could not read of a stream, so that the farm makes it anew from the state. A power cut soon after a
 * stream was made leaves one: nats-server does not sync the description of streams that are not synced (2.15.1).
 * @returns where it is now
 * @throws GranaryError STATE_BEHIND for a stream that nothing else tells of
 */
export function setStreamAside(paths: NatsPaths, stream: string): string {
  const folder = path.join(paths.folder, "jetstream", NATS_ACCOUNTS.farm, "streams", stream);
  if (!REMADE.has(stream) || !existsSync(folder)) {
    const hint = `Restore a backup; or move ${folder} away${stream === STREAMS.commands ? " and run `granary pointer reseed`: the state goes on without it" : ""}.`;
    throw new GranaryError("STATE_BEHIND", `nats-server cannot read its stream ${stream}`, {
      stream,
      folder,
      hint,
    });
  }
  const aside = path.join(paths.folder, `${stream}.damaged`);
  rmSync(aside, { recursive: true, force: true });
  renameSync(folder, aside);
  syncFile(path.dirname(folder));
  return aside;
}
