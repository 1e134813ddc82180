import { createHash } from "node:crypto";
import path from "node:path";
import { Readable } from "node:stream";
import { type Digest, digestHex, digestOf } from "../../../proto/digest.ts";
import type { FileEntry } from "../../../proto/listing.ts";
import { changedWhileRead } from "../tree/hash-file.ts";
import { readFileChunks } from "../tree/read-file-chunks.ts";

/** Files up to this size are verified before any of their bytes is sent. */
const WHOLE_BYTES = 1024 * 1024;
/** Small files are sent together: a write a file would cost more than reading it. */
const PIECE_BYTES = 256 * 1024;

/**
 * The contents of `files` one behind the other from `offset` on, verified while they are read. Files before the offset are not
 * read again: the farm verifies what it has.
 * @throws (through the stream) GranaryError STATE_CONFLICT naming a file that is not the listed one any more
 */
export function missingContent(root: string, files: readonly FileEntry[], offset: number): Readable {
  return Readable.from(coalesced(contents(root, files, offset)), {
    objectMode: false,
    highWaterMark: PIECE_BYTES,
  });
}

async function* contents(
  root: string,
  files: readonly FileEntry[],
  offset: number,
): AsyncGenerator<Buffer, void, undefined> {
  let skip = offset;
  for (const { path: filePath, size, digest } of files) {
    if (skip >= size) {
      skip -= size;
      continue;
    }
    const read = readFileChunks({ file: path.join(root, filePath), path: filePath, sizeBytes: size });
    const listed = { path: filePath, digest };
    yield* behind(size <= WHOLE_BYTES ? whole(read, listed) : piecewise(read, listed), skip);
    skip = 0;
  }
}

interface Listed {
  readonly path: string;
  readonly digest: Digest;
}

async function* whole(read: AsyncIterable<Buffer>, listed: Listed): AsyncGenerator<Buffer, void, undefined> {
  const chunks: Buffer[] = [];
  for await (const chunk of read) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  if (digestOf(bytes) !== listed.digest) throw changedWhileRead(listed.path);
  yield bytes;
}

/** The last piece is held back until all of them are known to be right: the farm never has a whole file that is not. */
async function* piecewise(
  read: AsyncIterable<Buffer>,
  listed: Listed,
): AsyncGenerator<Buffer, void, undefined> {
  const hash = createHash("sha256");
  let held: Buffer | undefined;
  for await (const chunk of read) {
    hash.update(chunk);
    if (held !== undefined) yield held;
    held = chunk;
  }
  if (hash.digest("hex") !== digestHex(listed.digest)) throw changedWhileRead(listed.path);
  if (held !== undefined) yield held;
}

async function* behind(chunks: AsyncIterable<Buffer>, skip: number): AsyncGenerator<Buffer, void, undefined> {
  let left = skip;
  for await (const chunk of chunks) {
    if (chunk.byteLength > left) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.byteLength);
  }
}

async function* coalesced(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  let held: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    held.push(chunk);
    bytes += chunk.byteLength;
    if (bytes < PIECE_BYTES) continue;
    yield Buffer.concat(held);
    held = [];
    bytes = 0;
  }
  if (bytes > 0) yield Buffer.concat(held);
}
