import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { type Digest, digestOf } from "../../proto/digest.ts";
import { LAYER_ENCODER, layerPieces, layerSize } from "../../proto/layers.ts";
import { LIMITS } from "../../proto/limits.ts";
import { encodeTree, type TreeEntry } from "../../proto/tree.ts";
import {
  contentOf,
  openStoreFixture,
  putLayer,
  readStream,
  type StoredLayer,
  type StoreFixture,
} from "../helpers/store-fixture.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

const LONG = "long/".repeat(30);
const FILES = {
  empty: Buffer.alloc(0),
  "bin/run.sh": contentOf("run", 511),
  "bin/tool.sh": contentOf("tool", 512),
  "lib/a/b/c/deep.js": contentOf("deep", 513),
  "lib/a/x.js": contentOf("x", 70_000),
  [`${LONG}name`]: contentOf("long", 1000),
  "media/big.bin": contentOf("big", LIMITS.packedBlobBytes + 1_234_567),
  "media/half.bin": contentOf("half", 1_500_000),
  zz: contentOf("zz", 3),
};

describe("a computed layer", () => {
  let fixture: StoreFixture;
  let layer: StoredLayer;
  before(async () => {
    fixture = await openStoreFixture(tempFolder());
    // Some of the content lies elsewhere already, out of the layer's order.
    await fixture.put(FILES["zz"], contentOf("foreign", 200_000), FILES["lib/a/x.js"]);
    layer = await putLayer(fixture, FILES);
  });
  after(() => fixture.close());

  it("streams the bytes that its digest promises", async () => {
    const { size, stream } = await fixture.store.openContent(layer.digest);
    const { bytes, error } = await readStream(stream);
    assert.equal(error, undefined);
    assert.equal(size, bytes.length);
    assert.equal(digestOf(bytes), layer.digest);
    assert.deepEqual(bytes, layer.bytes);
  });

  it("is a tar that GNU tar lists", (t) => {
    const archive = join(tempFolder(), "layer.tar");
    fs.writeFileSync(archive, layer.bytes);
    const tar = spawnSync("tar", ["tf", archive], { encoding: "utf8" });
    if (tar.error !== undefined) {
      t.skip("tar is not installed");
      return;
    }
    assert.equal(tar.status, 0, tar.stderr);
    const files = tar.stdout.split("\n").filter((name) => name !== "" && !name.endsWith("/"));
    assert.deepEqual(
      files,
      layer.entries.map(({ path }) => `app/${path}`),
    );
  });

  it("gives any range as the slice of the whole", async (t) => {
    const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
    t.diagnostic(`GRANARY_SEED=${seed}`);
    const size = layer.bytes.length;
    const edges = layerEdges(layer.entries);
    const offset = fc.oneof(
      fc.nat({ max: size - 1 }),
      fc
        .constantFrom(...edges)
        .chain((edge) => fc.integer({ min: Math.max(0, edge - 2), max: Math.min(size - 1, edge + 2) })),
    );
    await fc.assert(
      fc.asyncProperty(
        offset,
        fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.nat({ max: size })),
        async (start, length) => {
          const end = Math.min(size, start + Math.max(1, length));
          const opened = await fixture.store.openContent(layer.digest, { start, end });
          const { bytes, error } = await readStream(opened.stream);
          assert.equal(error, undefined);
          assert.equal(opened.size, size);
          assert.ok(bytes.equals(layer.bytes.subarray(start, end)), `${start}..${end}`);
        },
      ),
      { numRuns: 150, seed },
    );
  });

  it("refuses ranges outside of it", async () => {
    const size = layer.bytes.length;
    for (const [start, end] of [
      [0, size + 1],
      [size, size + 1],
      [5, 5],
      [6, 5],
      [-1, 5],
      [0.5, 5],
      [0, Number.NaN],
    ] as const) {
      await assert.rejects(fixture.store.openContent(layer.digest, { start, end }), {
        code: "RANGE_INVALID",
      });
    }
  });

  it("gives ranges of big and packed blobs as slices, too", async () => {
    for (const name of ["media/big.bin", "media/half.bin"] as const) {
      const content = FILES[name];
      const MIB = LIMITS.crcChunkBytes;
      for (const [start, end] of [
        [0, 1],
        [MIB - 1, MIB + 1],
        [MIB, content.length],
        [content.length - 1, content.length],
        [0, content.length],
        [123_456, 1_456_789],
      ] as const) {
        const { stream } = await fixture.store.openContent(digestOf(content), { start, end });
        assert.deepEqual((await readStream(stream)).bytes, content.subarray(start, end));
      }
    }
  });

  it("stops reading when its reader stops", async () => {
    const { stream } = await fixture.store.openContent(layer.digest);
    for await (const chunk of stream) {
      assert.ok(chunk.length > 0);
      break;
    }
    assert.equal(stream.destroyed, true);
  });
});

describe("a layer of 200 MB", () => {
  it("streams in bounded memory, at the pace of its reader", async () => {
    const fixture = await openStoreFixture(tempFolder());
    const { digest, size } = await putWideLayer(fixture, { files: 200, fileBytes: 1024 * 1024 });
    assert.ok(size > 200 * 1024 * 1024);
    const { stream } = await fixture.store.openContent(digest);
    const hash = createHash("sha256");
    let highestBytes = 0;
    let chunks = 0;
    global.gc?.();
    const startBytes = process.memoryUsage().arrayBuffers;
    for await (const chunk of stream) {
      hash.update(chunk);
      chunks += 1;
      if (chunks % 20 === 0) await sleep(5);
      highestBytes = Math.max(highestBytes, process.memoryUsage().arrayBuffers - startBytes);
    }
    assert.equal(`sha256:${hash.digest("hex")}`, digest);
    // Garbage that was not collected yet counts here, too: far from 200 MB is what matters.
    assert.ok(highestBytes < 100 * 1024 * 1024, `${highestBytes} bytes of buffers at a time`);
    await fixture.close();
  });
});

async function putWideLayer(
  { store, task }: StoreFixture,
  options: { files: number; fileBytes: number },
): Promise<{ digest: Digest; size: number }> {
  const writer = task();
  const entries: TreeEntry[] = [];
  for (let i = 0; i < options.files; i++) {
    const path = `f${String(i).padStart(4, "0")}`;
    const content = contentOf(path, options.fileBytes);
    entries.push({
      type: "file",
      path,
      executable: false,
      digest: writer.putBlob(content),
      size: content.length,
    });
  }
  const hash = createHash("sha256");
  for (const piece of layerPieces(entries))
    hash.update(piece.kind === "bytes" ? piece.bytes : writer.readBlob(piece.digest));
  const digest = `sha256:${hash.digest("hex")}` as Digest;
  const subtree = writer.putBlob(encodeTree(entries));
  writer.addLayer({ digest, size: layerSize(entries), encoder: LAYER_ENCODER, subtree });
  await store.commit(writer.finish());
  return { digest, size: layerSize(entries) };
}

/** Where pieces meet. */
function layerEdges(entries: readonly TreeEntry[]): number[] {
  const edges: number[] = [];
  let at = 0;
  for (const piece of layerPieces(entries)) {
    edges.push(at);
    at += piece.kind === "bytes" ? piece.bytes.byteLength : piece.size;
  }
  return edges;
}
