import fs from "node:fs";
import { join } from "node:path";
import { digestFromHex } from "../../proto/digest.ts";
import { GranaryError } from "../../proto/errors.ts";
import { openFarmStore } from "../../services/farm/open-store.ts";
import type { Log } from "../../services/shared/log.ts";
import { openThreadStore } from "../../store/thread-store.ts";
import { contentOf, taskCell } from "./store-fixture.ts";

/**
 * Child process of `index-flips.ts`: opens a store as a farm does, reads all content that `expected.json` names, publishes something,
 * lets GC keep it all, checks, and prints what it met as JSON. It may die of what the parent did to the index.
 */
const [dataDir] = process.argv.slice(2);
if (dataDir === undefined) throw new RangeError("usage: index-flips-main DIR");
const nobody = (): void => undefined;
const log = { info: nobody, warn: nobody, error: nobody } as unknown as Log;
const expected = JSON.parse(fs.readFileSync(join(dataDir, "expected.json"), "utf8")) as {
  blobs: { hex: string; seed: string; size: number }[];
  uploads: string[];
};

const store = await openFarmStore({ dataDir, log });
const unread: string[] = [];
const codeOf = (error: unknown): string => (error instanceof GranaryError ? error.code : String(error));
for (const { hex, seed, size } of expected.blobs) {
  try {
    const bytes = await store.read(digestFromHex(hex));
    if (!bytes.equals(contentOf(seed, size))) throw new RangeError(`wrong bytes of ${hex}`);
  } catch (error) {
    if (error instanceof RangeError) throw error;
    unread.push(`${hex} ${codeOf(error)}`);
  }
}
const thread = openThreadStore(store.workerData());
let put = "done";
try {
  const writer = thread.beginTask(taskCell());
  writer.putBlob(contentOf(`new ${Date.now()}`, 5_000));
  await store.commit(writer.finish());
} catch (error) {
  put = codeOf(error);
}
let gc = "done";
try {
  const roots = expected.blobs.map(({ hex }) => ({ digest: digestFromHex(hex), kind: "blob" as const }));
  await store.collectGarbage({ roots: () => roots, graceMs: 0, compactFully: true });
} catch (error) {
  gc = codeOf(error);
}
let fsck: unknown;
try {
  const { checked: _, checkedBytes: __, ...found } = await store.fsck();
  fsck = Object.fromEntries(Object.entries(found).filter(([, names]) => (names as string[]).length > 0));
} catch (error) {
  fsck = { code: codeOf(error) };
}
const lostUploads = expected.uploads.filter((id) => !fs.existsSync(store.uploadPath(id)));
await thread.close();
await store.close();
process.stdout.write(`${JSON.stringify({ unread, put, gc, fsck, lostUploads })}\n`);
