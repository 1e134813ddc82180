import { createHash } from "node:crypto";
import path from "node:path";
import { PassThrough, pipeline, type Readable } from "node:stream";
import { createGzip } from "node:zlib";
import { type Pack, pack } from "tar-stream";
import { digestFromHex } from "../../../proto/digest.ts";
import type { TreeEntry } from "../../../proto/tree.ts";
import { withDigest } from "../tree/hash-entries.ts";
import { readFileChunks } from "../tree/read-file-chunks.ts";
import type { WalkedDirectory, WalkedEntry } from "../tree/walk-directory.ts";

export interface PackedDirectory {
  /** The .tar.gz, made as it is read. */
  readonly stream: Readable;
  /** The tree that was packed, once the stream has ended; rejects when it broke off. */
  readonly entries: Promise<readonly TreeEntry[]>;
}

const EPOCH = new Date(0);
/** Fast rather than small: the farm reads it once and keeps none of it. */
const GZIP_LEVEL = 1;

/**
 * Packs a walked directory as a .tar.gz: same content, same bytes, whatever the order on disk, times, owners and umask.
 * Files are read as the stream is; they are hashed on the way.
 *
 * @param onContent hears the bytes of each stretch of content that went in
 */
export function packDirectory(walked: WalkedDirectory, onContent: (bytes: number) => void): PackedDirectory {
  const tar = pack();
  const gzip = createGzip({ level: GZIP_LEVEL, chunkSize: 256 * 1024 });
  const stream = new PassThrough();
  pipeline(tar, gzip, stream, () => undefined);
  const entries = fill(tar, walked, onContent);
  entries.catch((error: unknown) =>
    stream.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  return { stream, entries };
}

async function fill(
  tar: Pack,
  walked: WalkedDirectory,
  onContent: (bytes: number) => void,
): Promise<readonly TreeEntry[]> {
  const entries: TreeEntry[] = [];
  try {
    for (const entry of walked.entries) entries.push(await add(tar, walked.root, entry, onContent));
    tar.finalize();
    return entries;
  } catch (error) {
    tar.destroy(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}

async function add(
  tar: Pack,
  root: string,
  entry: WalkedEntry,
  onContent: (bytes: number) => void,
): Promise<TreeEntry> {
  const common = { mtime: EPOCH, uid: 0, gid: 0, uname: "", gname: "" };
  if (entry.type === "directory") {
    await put(tar, { ...common, name: `${entry.path}/`, type: "directory", mode: 0o755, size: 0 });
    return entry;
  }
  if (entry.type === "symlink") {
    await put(tar, {
      ...common,
      name: entry.path,
      type: "symlink",
      linkname: entry.target,
      mode: 0o777,
      size: 0,
    });
    return entry;
  }
  const hash = createHash("sha256");
  const file = path.join(root, entry.path);
  const header = { ...common, name: entry.path, mode: entry.executable ? 0o755 : 0o644, size: entry.size };
  const { sink, done } = open(tar, { ...header, type: "file" });
  for await (const chunk of readFileChunks({ file, path: entry.path, sizeBytes: entry.size })) {
    hash.update(chunk);
    onContent(chunk.byteLength);
    // A full sink drains once the upload has taken what came before: nothing piles up here.
    if (!sink.write(chunk)) await Promise.race([drained(sink), done]);
  }
  sink.end(undefined);
  await done;
  return withDigest(entry, digestFromHex(hash.digest("hex")));
}

type Sink = ReturnType<Pack["entry"]>;

function open(tar: Pack, header: Parameters<Pack["entry"]>[0]): { sink: Sink; done: Promise<void> } {
  let settle: (error?: Error | null) => void = () => undefined;
  const done = new Promise<void>((resolve, reject) => {
    settle = (error) => (error ? reject(error) : resolve());
  });
  done.catch(() => undefined);
  const sink = tar.entry(header, settle);
  // `done` tells the failure; an error event that nobody hears would end the process.
  sink.on("error", () => undefined);
  return { sink, done };
}

function drained(sink: Sink): Promise<void> {
  return new Promise((resolve) => sink.once("drain", () => resolve()));
}

async function put(tar: Pack, header: Parameters<Pack["entry"]>[0]): Promise<void> {
  await open(tar, header).done;
}
