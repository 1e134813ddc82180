import path from "node:path";
import { digestFromHex } from "../../../proto/digest.ts";
import type { TreeEntry } from "../../../proto/tree.ts";
import type { FileIdentity } from "./file-identity.ts";
import type { HashCache } from "./hash-cache.ts";
import { changedWhileRead, type FileToHash } from "./hash-file.ts";
import { type HashOptions, hashFiles } from "./hash-files.ts";
import type { WalkedDirectory, WalkedEntry } from "./walk-directory.ts";

export interface HashEntriesOptions extends HashOptions {
  /** Digests of earlier publishes; undefined: every file is read. */
  readonly cache?: HashCache | undefined;
}

type WalkedFile = Extract<WalkedEntry, { readonly type: "file" }>;

/** The canonical tree of a walked directory: every file that the cache does not know is read once. @throws as {@link hashFiles} */
export async function hashEntries(
  walked: WalkedDirectory,
  { cache, ...options }: HashEntriesOptions,
): Promise<TreeEntry[]> {
  const startedMs = Date.now();
  const files = walked.entries.filter((entry): entry is WalkedFile => entry.type === "file");
  const hexes = new Map<string, string>();
  const toHash: FileToHash[] = [];
  for (const file of files) {
    const identity = identityOf(walked, file);
    const known = cache?.find(file.path, identity);
    if (known === undefined)
      toHash.push({
        file: path.join(walked.root, file.path),
        path: file.path,
        size: file.size,
        identity: identity.text,
      });
    else {
      hexes.set(file.path, known);
      options.onHashed?.(file.size);
    }
  }
  const hashed = await hashFiles(toHash, options);
  for (const [at, file] of toHash.entries()) hexes.set(file.path, hashed[at] ?? "");
  if (toHash.length > 0)
    cache?.save(
      files.map((file) => ({
        path: file.path,
        identity: identityOf(walked, file),
        hex: hexes.get(file.path) ?? "",
      })),
      startedMs,
    );
  return walked.entries.map((entry) =>
    entry.type === "file" ? { ...entry, digest: digestFromHex(hexes.get(entry.path) ?? "") } : entry,
  );
}

function identityOf({ identities }: WalkedDirectory, file: WalkedFile): FileIdentity {
  const identity = identities.get(file.path);
  if (identity === undefined) throw changedWhileRead(file.path);
  return identity;
}
