import assert from "node:assert/strict";
import { test } from "node:test";
import { digestFromHex, digestHex } from "../../proto/digest.ts";
import { ROOT_BYTES, ROOT_KIND } from "../../store/gc-mark.ts";
import { encodeRoots, type GcRoot } from "../../store/gc-root.ts";

const ROOTS = 200_000;
const digestOfNumber = (n: number) => digestFromHex(n.toString(16).padStart(8, "0").repeat(8));

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
  async function* watched(): AsyncGenerator<GcRoot> {
    let told = 0;
    for (const root of some()) {
      if (told++ % 10_000 === 0) {
        // A turn of the event loop, as reading them from the state takes them: garbage may go.
        await new Promise((resolve) => setImmediate(resolve));
        globalThis.gc?.();
        most = Math.max(most, memory());
      }
      yield root;
    }
    globalThis.gc?.();
    most = Math.max(most, memory());
  }
  const before = memory();
  const bytes = await encodeRoots(watched());
  assert.equal(bytes.byteLength, ROOTS * ROOT_BYTES);
  assert.ok(most - before < 200 * ROOTS, `${(most - before) / ROOTS} bytes each`);
});

function memory(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
