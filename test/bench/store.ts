import { hash, randomBytes } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";
import { TASK_CELL } from "../../proto/worker-tasks.ts";
import { openStore } from "../../store/store.ts";
import { openThreadStore } from "../../store/thread-store.ts";

export interface StoreFigures {
  readonly files: number;
  readonly bytes: number;
  /** sha256 of every file, nothing else. */
  readonly hashMs: number;
  /** Hash, look up, append: all files new. */
  readonly putMs: number;
  /** Sync and index transaction of that. */
  readonly commitMs: number;
  /** All files known already. */
  readonly putKnownMs: number;
  /** sha256 and one file each, named by digest; not synced. */
  readonly plainFilesMs: number;
}

const FILES = 4_000;
/** Sizes like those of a node_modules: median 2 KiB, mean 8 KiB. */
const MEDIAN_BYTES = 2048;

/** One round: put and commit 4,000 new small files, put them again, and write the same as plain files. `dir` has to be fresh. */
export async function benchStore(dir: string): Promise<StoreFigures> {
  const files = smallFiles();
  const store = await openStore({ dir: join(dir, "store"), log: () => undefined });
  const thread = openThreadStore(store.workerData());
  try {
    const hashMs = timed(() => {
      for (const file of files) hash("sha256", file, "hex");
    });
    const first = thread.beginTask(taskCell());
    const putMs = timed(() => {
      for (const file of files) first.putBlob(file);
    });
    const batch = first.finish();
    const commitStart = performance.now();
    await store.commit(batch);
    const commitMs = performance.now() - commitStart;
    const second = thread.beginTask(taskCell());
    const putKnownMs = timed(() => {
      for (const file of files) second.putBlob(file);
    });
    second.abandon();
    const plainFilesMs = timed(() => writePlainFiles(join(dir, "plain"), files));
    const bytes = files.reduce((sum, file) => sum + file.byteLength, 0);
    return { files: files.length, bytes, hashMs, putMs, commitMs, putKnownMs, plainFilesMs };
  } finally {
    await thread.close();
    await store.close();
  }
}

function smallFiles(): Buffer[] {
  const noise = randomBytes(1024 * 1024);
  return Array.from({ length: FILES }, (_, index) => {
    // Log-normal, sigma 1.6, by the sum of uniforms.
    const normal = (Math.random() + Math.random() + Math.random() + Math.random() - 2) * Math.sqrt(3);
    const size = Math.min(512 * 1024, Math.round(MEDIAN_BYTES * Math.exp(1.6 * normal)) + 8);
    const file = Buffer.from(noise.subarray(index, index + size));
    file.writeDoubleLE(Math.random(), 0);
    return file;
  });
}

function writePlainFiles(dir: string, files: readonly Buffer[]): void {
  for (let i = 0; i < 256; i++) fs.mkdirSync(join(dir, i.toString(16).padStart(2, "0")), { recursive: true });
  for (const file of files) {
    const hex = hash("sha256", file, "hex");
    fs.writeFileSync(join(dir, hex.slice(0, 2), hex), file);
  }
}

function timed(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

function taskCell(): SharedArrayBuffer {
  return new SharedArrayBuffer(TASK_CELL.length * Float64Array.BYTES_PER_ELEMENT);
}
