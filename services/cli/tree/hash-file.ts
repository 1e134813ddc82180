import { createHash, hash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { quote } from "../../../proto/entry-path.ts";
import { GranaryError } from "../../../proto/errors.ts";
import { fileIdentity } from "./file-identity.ts";

/** A file of a walk, to be hashed. */
export interface FileToHash {
  /** Where it is. */
  readonly file: string;
  /** Its path in the tree, for messages. */
  readonly path: string;
  readonly size: number;
  /** Text of its {@link fileIdentity} when it was listed. */
  readonly identity: string;
}

/** Files up to this size are read whole; larger ones in pieces of it, which stay in the cache while they are hashed. */
const BUFFER_BYTES = 256 * 1024;
const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);

/**
 * sha256 (hex) of a file that is the listed one before and after it was read.
 * @throws GranaryError STATE_CONFLICT naming the path when it has changed, USAGE when it cannot be read
 */
export function hashFile(wanted: FileToHash): string {
  const fd = opened(wanted);
  try {
    checkUnchanged(fd, wanted);
    const hex = wanted.size <= BUFFER_BYTES ? hashWhole(fd, wanted) : hashPieces(fd, wanted);
    checkUnchanged(fd, wanted);
    return hex;
  } finally {
    closeSync(fd);
  }
}

export function changedWhileRead(path: string): GranaryError {
  return new GranaryError("STATE_CONFLICT", `${quote(path)} changed while it was read; run it again`, {
    path,
  });
}

function opened({ file, path }: FileToHash): number {
  try {
    return openSync(file, "r");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
    if (code === "ENOENT") throw changedWhileRead(path);
    throw new GranaryError("USAGE", `${quote(path)} cannot be read (${code})`, { path }, { cause });
  }
}

function checkUnchanged(fd: number, { path, identity }: FileToHash): void {
  if (fileIdentity(fstatSync(fd, { bigint: true })).text !== identity) throw changedWhileRead(path);
}

function hashWhole(fd: number, { path, size }: FileToHash): string {
  let filled = 0;
  while (filled < size) {
    const read = readSync(fd, buffer, filled, size - filled, filled);
    if (read === 0) throw changedWhileRead(path);
    filled += read;
  }
  return hash("sha256", buffer.subarray(0, size), "hex");
}

function hashPieces(fd: number, { path, size }: FileToHash): string {
  const sum = createHash("sha256");
  for (let at = 0; at < size; ) {
    const read = readSync(fd, buffer, 0, BUFFER_BYTES, at);
    if (read === 0) throw changedWhileRead(path);
    sum.update(buffer.subarray(0, read));
    at += read;
  }
  return sum.digest("hex");
}
