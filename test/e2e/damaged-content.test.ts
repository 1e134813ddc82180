import assert from "node:assert/strict";
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { crc32 } from "node:zlib";
import { digestOf } from "../../proto/digest.ts";
import type { ReleaseJson } from "../../proto/http.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { publishReady } from "../helpers/farm-requests.ts";
import { noise } from "../helpers/hostile-sizes.ts";

/**
 * A bit flips on the disk. A pull then fails closed: never a wrong byte, and the connection is destroyed before the last chunk, so
 * that no client takes what it has for a whole layer. Publishing the content again heals it.
 */
const folder = tempDir("damaged");
let farm: TestFarm;

before(async () => {
  farm = await startTestFarm({ data: join(folder, "data") });
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

interface Case {
  readonly name: string;
  /** The file whose stored bytes are damaged, and the others of the archive. */
  readonly files: Readonly<Record<string, string>>;
  readonly damaged: string;
}

const block = (seed: string, bytes: number): string =>
  seed +
  noise(bytes / 2)
    .toString("hex")
    .slice(seed.length);
/** Names in path order of large files that the image keeps in one layer (docs/image-spec.md, slices). */
function sliceMates(count: number): string[] {
  const names = Array.from({ length: 1_000 }, (_, i) => `f${String(i).padStart(3, "0")}`);
  return names.filter((name) => crc32(name) % 32 === crc32("f000") % 32).slice(0, count);
}

const CASES: readonly Case[] = [
  { name: "of a file in a small layer", files: { a: block("small", 5_000) }, damaged: "a" },
  {
    name: "of a file in the middle of a large layer",
    files: Object.fromEntries(sliceMates(8).map((name, i) => [name, block(`large ${i} `, 1_500_000)])),
    damaged: sliceMates(8)[5] ?? "",
  },
  {
    name: "of the last file of a large layer",
    files: Object.fromEntries(sliceMates(4).map((name, i) => [name, block(`last ${i} `, 1_500_000)])),
    damaged: sliceMates(4).at(-1) ?? "",
  },
  { name: "of a file with a file of its own", files: { big: block("big", 9_000_000) }, damaged: "big" },
];

describe("a flipped bit", () => {
  for (const [i, { name, files, damaged }] of CASES.entries()) {
    test(`${name}: the pull fails closed, and publishing again heals it`, async () => {
      const project = `case-${i}`;
      const archive = appArchive(files);
      const release = await publishReady(farm, project, archive, { query: { commit: "0000001" } });
      assert.equal(release.layers.length, 1);
      const layer = release.layers[0]?.digest ?? "";
      const whole = await pull(project, layer);
      assert.equal(whole.complete, true);
      assert.equal(digestOf(whole.bytes), layer);

      flipBit(files[damaged] ?? "");
      for (let attempt = 0; attempt < 2; attempt++) {
        const broken = await pull(project, layer);
        assert.equal(broken.complete, false, `${broken.status}: a damaged layer came to its end`);
        assert.ok(broken.bytes.byteLength < whole.bytes.byteLength);
        if (broken.status === 200)
          assert.ok(
            broken.bytes.equals(whole.bytes.subarray(0, broken.bytes.byteLength)),
            "a wrong byte came",
          );
        else
          assert.ok(broken.status >= 500, `${broken.status} ${broken.bytes.toString("utf8").slice(0, 300)}`);
      }
      assert.match(farm.log(), /STORE_CORRUPT/);
      assert.equal((await farm.fetch("/readyz")).status, 200);

      const healed = await republish(project, archive);
      assert.equal(healed.image_digest, release.image_digest);
      const again = await pull(project, layer);
      assert.equal(again.complete, true);
      assert.equal(digestOf(again.bytes), layer);
    });
  }
});

test("a flipped bit of a manifest: it is refused as damaged, not as unknown, until it is published again", async () => {
  const archive = appArchive({ manifest: "of this one" });
  const release = await publishReady(farm, "manifests", archive, { query: { commit: "0000001" } });
  const path = "/v2/default/manifests/manifests/v1";
  const manifest = await (await farm.fetch(path)).text();
  flipBit(manifest);
  for (let attempt = 0; attempt < 2; attempt++) {
    const response = await farm.fetch(path);
    const { errors } = (await response.json()) as { errors: { code: string }[] };
    assert.deepEqual([response.status, errors[0]?.code], [500, "STORE_CORRUPT"]);
  }
  await republish("manifests", archive);
  assert.equal(digestOf(Buffer.from(await (await farm.fetch(path)).arrayBuffer())), release.image_digest);
});

function republish(project: string, archive: Buffer): Promise<ReleaseJson> {
  return publishReady(farm, project, archive, { query: { commit: "0000002" } });
}

interface Pulled {
  readonly status: number;
  /** Whether the answer was 200 and came to its announced end. */
  readonly complete: boolean;
  readonly bytes: Buffer;
}

/** Reads a blob as far as it comes. */
function pull(project: string, digest: string): Promise<Pulled> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${farm.token}` };
    const chunks: Buffer[] = [];
    get(`${farm.url}/v2/default/${project}/blobs/${digest}`, { headers, agent: false }, (response) => {
      const status = response.statusCode ?? 0;
      const finish = (): void => {
        const bytes = Buffer.concat(chunks);
        const announced = Number(response.headers["content-length"]);
        resolve({
          status,
          complete: status === 200 && response.complete && bytes.byteLength === announced,
          bytes,
        });
      };
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("close", finish);
      response.once("error", () => undefined);
    }).once("error", reject);
  });
}

/** Flips a bit in the middle of where the store keeps `content`. */
function flipBit(content: string): void {
  const store = join(farm.data, "store");
  const begin = Buffer.from(content.slice(0, 64));
  for (const area of ["packs", "big"]) {
    for (const name of readdirSync(join(store, area), { recursive: true, encoding: "utf8" })) {
      if (area === "big" && !/[0-9a-f]{32}/.test(name)) continue;
      const file = join(store, area, name);
      const bytes = readFileSync(file);
      const at = bytes.indexOf(begin);
      if (at < 0) continue;
      const middle = at + (content.length >> 1);
      const fd = openSync(file, "r+");
      writeSync(fd, Buffer.of((bytes[middle] ?? 0) ^ 1), 0, 1, middle);
      closeSync(fd);
      return;
    }
  }
  assert.fail("the content is not found in the store's files");
}
