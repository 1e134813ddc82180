import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { openStoreFixture } from "../helpers/store-fixture.ts";

/**
 * One commit, hence one transaction of the index. Rows of random keys dirty a page each until there are more rows than pages: ten times
 * smaller commits write the index three times as often.
 */
const BATCH = 500_000;
const BLOB_BYTES = 16;

export interface Filled {
  readonly blobs: number;
  readonly seconds: number;
  /** Largest resident memory of the process that filled it, so far. */
  readonly peakBytes: number;
}

/** Makes a store of that many small blobs, each put and committed as those of a publish are. */
export async function fillStore(dir: string, blobs: number): Promise<Filled> {
  mkdirSync(dir, { recursive: true });
  const startedMs = performance.now();
  const fixture = await openStoreFixture(dir);
  try {
    let committing: Promise<unknown> = Promise.resolve();
    for (let put = 0; put < blobs; put += BATCH) {
      const count = Math.min(BATCH, blobs - put);
      const content = randomBytes(count * BLOB_BYTES);
      const writer = fixture.task();
      for (let at = 0; at < count; at++)
        writer.putBlob(content.subarray(at * BLOB_BYTES, (at + 1) * BLOB_BYTES));
      const batch = writer.finish();
      await committing;
      committing = fixture.store.commit(batch);
    }
    await committing;
  } finally {
    await fixture.close();
  }
  return {
    blobs,
    seconds: (performance.now() - startedMs) / 1000,
    peakBytes: process.resourceUsage().maxRSS * 1024,
  };
}
