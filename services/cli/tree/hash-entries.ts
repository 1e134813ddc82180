import { createHash } from "node:crypto";
import path from "node:path";
import { type Digest, digestFromHex } from "../../../proto/digest.ts";
import type { TreeEntry } from "../../../proto/tree.ts";
import { readFileChunks } from "./read-file-chunks.ts";
import type { WalkedDirectory, WalkedEntry } from "./walk-directory.ts";

/** The canonical tree of a walked directory: every file is read and hashed once. @throws GranaryError STATE_CONFLICT, USAGE */
export async function hashEntries(walked: WalkedDirectory, signal: AbortSignal): Promise<TreeEntry[]> {
  const entries: TreeEntry[] = [];
  for (const entry of walked.entries) {
    signal.throwIfAborted();
    if (entry.type !== "file") {
      entries.push(entry);
      continue;
    }
    const hash = createHash("sha256");
    const file = path.join(walked.root, entry.path);
    for await (const chunk of readFileChunks({ file, path: entry.path, sizeBytes: entry.size }))
      hash.update(chunk);
    entries.push(withDigest(entry, digestFromHex(hash.digest("hex"))));
  }
  return entries;
}

export function withDigest(entry: Extract<WalkedEntry, { type: "file" }>, digest: Digest): TreeEntry {
  return { type: "file", path: entry.path, executable: entry.executable, digest, size: entry.size };
}
