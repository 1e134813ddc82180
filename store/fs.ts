import fs from "node:fs";
import { GranaryError } from "../proto/errors.ts";

/**
 * Every file-system call of the store carries one of these labels, so that a test can count exactly that call or make it fail,
 * in whichever thread it happens.
 */
export const FS_OPS = [
  "store.open",
  "inbox.open",
  "inbox.write",
  "inbox.sync",
  "inbox.rename",
  "inbox.unlink",
  "segment.open",
  "segment.write",
  "segment.sync",
  "segment.truncate",
  "segment.read",
  "segment.unlink",
  "staging.open",
  "staging.write",
  "staging.sync",
  "staging.unlink",
  "big.rename",
  "big.read",
  "big.unlink",
  "folder.sync",
  "disk.space",
  "index.commit",
  "scan",
] as const;
export type FsOp = (typeof FS_OPS)[number];

const FAULT_ERRNOS = ["", "EIO", "ENOSPC", "KILL"] as const;
const CELL = { calls: 0, failFrom: 1, failTimes: 2, errno: 3, length: 4 } as const;

/** Shared by all threads of a store: per operation the number of calls, and the fault that a test has asked for. */
export function createFsCells(): SharedArrayBuffer {
  return new SharedArrayBuffer(FS_OPS.length * CELL.length * Int32Array.BYTES_PER_ELEMENT);
}

export function fsCallCount(cells: SharedArrayBuffer, op: FsOp): number {
  return Atomics.load(new Int32Array(cells), FS_OPS.indexOf(op) * CELL.length + CELL.calls);
}

/** Makes calls of `op` fail with `errno` (KILL: end the process): `times` of them, after `after` more have gone well. `times: 0` ends it. */
export function injectFault(
  cells: SharedArrayBuffer,
  fault: { op: FsOp; errno: "EIO" | "ENOSPC" | "KILL"; after?: number; times?: number },
): void {
  const view = new Int32Array(cells);
  const at = FS_OPS.indexOf(fault.op) * CELL.length;
  Atomics.store(view, at + CELL.errno, FAULT_ERRNOS.indexOf(fault.errno));
  Atomics.store(view, at + CELL.failTimes, fault.times ?? 1);
  Atomics.store(view, at + CELL.failFrom, Atomics.load(view, at + CELL.calls) + 1 + (fault.after ?? 0));
}

/** The file system as the store sees it: labelled, counted, and failing with codes of the catalogue. */
export class StoreFs {
  readonly cells: SharedArrayBuffer;
  readonly #view: Int32Array;

  constructor(cells: SharedArrayBuffer) {
    this.cells = cells;
    this.#view = new Int32Array(cells);
  }

  /**
   * Runs one labelled call. ENOENT comes through untouched: whether absence is an error is the caller's to judge.
   * @throws GranaryError STORE_FULL (no space, quota), STORE_IO (everything else)
   */
  run<T>(op: FsOp, name: string, call: () => T): T {
    try {
      this.#enter(op);
      return call();
    } catch (error) {
      throw storeError(error, op, name);
    }
  }

  /** {@link StoreFs.run} for calls off the event loop. */
  async runAsync<T>(op: FsOp, name: string, call: () => Promise<T>): Promise<T> {
    try {
      this.#enter(op);
      return await call();
    } catch (error) {
      throw storeError(error, op, name);
    }
  }

  #enter(op: FsOp): void {
    const at = FS_OPS.indexOf(op) * CELL.length;
    const call = Atomics.add(this.#view, at + CELL.calls, 1) + 1;
    const failFrom = Atomics.load(this.#view, at + CELL.failFrom);
    if (failFrom === 0 || call < failFrom || Atomics.load(this.#view, at + CELL.failTimes) <= 0) return;
    Atomics.sub(this.#view, at + CELL.failTimes, 1);
    const code = FAULT_ERRNOS[Atomics.load(this.#view, at + CELL.errno)] ?? "EIO";
    if (code === "KILL") process.kill(process.pid, "SIGKILL");
    throw Object.assign(new Error(`${code}: injected`), { code });
  }
}

export const FULL_ERRNOS: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT"]);

function storeError(error: unknown, op: FsOp, path: string): unknown {
  if (error instanceof GranaryError) return error;
  const errno = errnoOf(error);
  if (errno === "ENOENT") return error;
  const code = FULL_ERRNOS.has(errno) ? "STORE_FULL" : "STORE_IO";
  const name = path.slice(path.lastIndexOf("/") + 1);
  return new GranaryError(code, `${op} of ${name} failed: ${errno}`, { op, name, errno }, { cause: error });
}

export function errnoOf(error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === "string" ? code : String(code ?? error);
}

/** What `call` answers, or undefined when the file is not there. */
export function ifPresent<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Writes all of `bytes` at `position`; short writes are continued. */
export function writeAllSync(fd: number, bytes: Uint8Array, position: number): void {
  let done = 0;
  while (done < bytes.byteLength)
    done += fs.writeSync(fd, bytes, done, bytes.byteLength - done, position + done);
}

/** Fills `into` from `position` as far as the file goes; answers how many bytes that was. */
export function readFullySync(fd: number, into: Uint8Array, position: number): number {
  let done = 0;
  while (done < into.byteLength) {
    const got = fs.readSync(fd, into, done, into.byteLength - done, position + done);
    if (got === 0) break;
    done += got;
  }
  return done;
}

/** {@link readFullySync} off the event loop. */
export async function readFully(fd: number, into: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < into.byteLength) {
    const got = await new Promise<number>((resolve, reject) => {
      fs.read(fd, into, done, into.byteLength - done, position + done, (error, count) =>
        error ? reject(error) : resolve(count),
      );
    });
    if (got === 0) break;
    done += got;
  }
  return done;
}

/** Makes the names in a folder durable. */
export function syncFolder(path: string): void {
  const fd = fs.openSync(path, "r");
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
