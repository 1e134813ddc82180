import { digestOf } from "../../proto/digest.ts";
import { LIMITS } from "../../proto/limits.ts";
import { contentOf, openStoreFixture } from "./store-fixture.ts";

/**
 * Child process of the crash test: commits and uploads for ever, and prints a line for each thing that was acknowledged:
 * `blob SEED SIZE`, `upload ID SEED SIZE`. The parent kills it.
 */
const [dir, run] = process.argv.slice(2);
if (dir === undefined || run === undefined) throw new RangeError("usage: store-crash-main DIR RUN");
const fixture = await openStoreFixture(dir);
const say = (line: string) => process.stdout.write(`${line}\n`);
say("open");

async function commits(): Promise<void> {
  for (let i = 0; ; i++) {
    const sizes = [i % 7 === 6 ? LIMITS.packedBlobBytes + 1 + i : 2_000_000, 100 + i, 100_000];
    const seeds = sizes.map((_, j) => `${run}.${i}.${j}`);
    const writer = fixture.task();
    for (const [j, size] of sizes.entries()) writer.putBlob(contentOf(seeds[j] ?? "", size));
    if (i % 5 === 4) {
      writer.abandon();
      continue;
    }
    await fixture.store.commit(writer.finish());
    for (const [j, size] of sizes.entries()) say(`blob ${seeds[j]} ${size}`);
  }
}

async function uploads(): Promise<void> {
  for (let i = 0; ; i++) {
    const id = `u-${run}-${i}`;
    const content = contentOf(id, 50_000);
    const upload = await fixture.store.openUpload(id);
    await upload.write(content);
    const { digest } = await upload.seal({ leaseMs: 3_600_000 });
    if (digest !== digestOf(content)) throw new Error("wrong digest");
    say(`upload ${id} ${id} 50000`);
  }
}

await Promise.all([commits(), uploads()]);
