import assert from "node:assert/strict";
import { test } from "node:test";
import v8 from "node:v8";
import { runInNewContext } from "node:vm";
import { digestHex, digestOf } from "../../proto/digest.ts";
import { ROOT_BYTES, ROOT_KIND } from "../../store/gc-mark.ts";
import { encodeRoots, type GcRoot } from "../../store/gc-root.ts";

const ROOTS = 200_000;
v8.setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const digestOfNumber = (n: number) => digestOf(String(n));

test("each root of a collection is taken once for each of its kinds", async () => {
  const roots: GcRoot[] = [1, 2, 1].flatMap((n) => [
    { digest: digestOfNumber(n), kind: "blob" },
    { digest: digestOfNumber(n), kind: "tree" },
  ]);
  const bytes = Buffer.from(await encodeRoots(roots));
  const told = Array.from({ length: bytes.byteLength / ROOT_BYTES }, (_, at) =>
    bytes.toString("hex", at * ROOT_BYTES, (at + 1) * ROOT_BYTES),
  );
  const expected = roots.slice(0, 4).map(({ digest, kind }) => `0${ROOT_KIND[kind]}${digestHex(digest)}`);
  assert.deepEqual(told, expected);
});

test("roots that come one by one cost less than 200 bytes of memory each", async () => {
  function* some(): Generator<GcRoot> {
    for (let n = 0; n < ROOTS; n++) yield { digest: digestOfNumber(n), kind: "blob" };
  }
  let most = 0;
  function* watched(): Generator<GcRoot> {
    let told = 0;
    for (const root of some()) {
      if (told++ % 40_000 === 0) most = Math.max(most, memory());
      yield root;
    }
    most = Math.max(most, memory());
  }
  const before = memory();
  const bytes = await encodeRoots(watched());
  assert.equal(bytes.byteLength, ROOTS * ROOT_BYTES);
  assert.ok(most - before < 200 * ROOTS, `${(most - before) / ROOTS} bytes each`);
});

/** Without what is garbage. */
function memory(): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
