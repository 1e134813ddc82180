import fs from "node:fs";
import { type Digest, digestHex } from "../proto/digest.ts";
import { publishIdOf } from "../proto/upload-session.ts";
import type { CommitterClient } from "./committer-client.ts";
import { BLOB_STATE } from "./index-rows.ts";
import type { IndexView } from "./index-view.ts";
import type { StorePaths } from "./store-paths.ts";

/** What the store itself knows about whether content stays. */
export interface ContentFate {
  readonly damaged: boolean;
  /** When GC condemned it; undefined when it did not. */
  readonly condemnedAtMs: number | undefined;
  /** Leases of publishes that brought it or rely on it, and have not ended. */
  readonly heldBy: readonly string[];
  /** Ids of upload sessions that list it. */
  readonly sessions: readonly string[];
}

/** @throws GranaryError STORE_IO */
export async function contentFate(
  digest: Digest,
  parts: { paths: StorePaths; view: IndexView; committer: CommitterClient },
): Promise<ContentFate> {
  const { paths, view, committer } = parts;
  const { holders } = await committer.collect({ do: "holders", digest });
  return {
    damaged: view.blob(digest)?.state === BLOB_STATE.damaged,
    condemnedAtMs: view.condemned(digest)?.atMs,
    heldBy: holders,
    sessions: await sessionsListing(digest, paths),
  };
}

/** Looks for the digest as a listing spells it, so that a session which is damaged elsewhere is found too. */
async function sessionsListing(digest: Digest, paths: StorePaths): Promise<string[]> {
  const spelled = Buffer.from(` ${digestHex(digest)} `);
  const found: string[] = [];
  for (const name of fs.readdirSync(paths.inbox)) {
    if (publishIdOf(name) === undefined) continue;
    const bytes = await fs.promises.readFile(paths.upload(name)).catch(() => undefined);
    if (bytes?.includes(spelled) === true) found.push(name);
  }
  return found;
}
