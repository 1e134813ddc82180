import assert from "node:assert/strict";
import {
  closeSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import type { ReleaseJson } from "../../proto/http.ts";
import type { FsckJson, StoreJson } from "../../proto/http-store.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { runCli, runCliProcess } from "../helpers/cli.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { waitUntil } from "../helpers/wait-until.ts";

const folder = tempDir("repair");
after(() => removeDir(folder));
const data = join(folder, "data");
const files = Object.fromEntries(
  Array.from({ length: 300 }, (_, i) => [`f${i}.txt`, `content ${i} `.repeat(50)]),
);

function cli(farm: TestFarm, args: readonly string[]) {
  return runCli(args, { env: { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token }, cwd: folder });
}

async function publish(farm: TestFarm, commit: string): Promise<ReleaseJson> {
  const answer = await farm.json<{ release: ReleaseJson }>(
    `/v1/orgs/default/projects/app/publishes?commit=${commit}&force_new=true`,
    {
      method: "POST",
      headers: { prefer: "wait=30" },
      body: appArchive(files),
    },
  );
  return answer.release;
}

async function scrubOf(farm: TestFarm): Promise<StoreJson["scrub"]> {
  return (await farm.json<StoreJson>("/v1/store")).scrub;
}

/** Flips one bit in the middle of the only segment: in the content of some file, or in its record. */
function flipBit(): void {
  const packs = join(data, "store", "packs");
  const pack = join(packs, readdirSync(packs).sort()[0] ?? "");
  const fd = openSync(pack, "r+");
  const byte = Buffer.alloc(1);
  const at = Math.floor(statSync(pack).size / 2);
  readSync(fd, byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ 4;
  writeSync(fd, byte, 0, 1, at);
  closeSync(fd);
}

/** The cache in which set-up keeps nats-server: a CLI under test has a home of its own. */
const cache = Object.fromEntries(
  ["HOME", "XDG_CACHE_HOME", "GRANARY_CACHE", "NATS_SERVER_BIN"].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  }),
);

test("a flipped bit is found by fsck, healed by the next publish, and a lost index is rebuilt from the packs", {
  timeout: 120_000,
}, async () => {
  let farm = await startTestFarm({ data });
  const first = await publish(farm, "1111111");
  const clean = await cli(farm, ["store", "fsck", "--json"]);
  assert.equal(clean.code, 0, clean.stderr);
  await waitUntil("the scrub has read all", 60_000, async () => (await scrubOf(farm)).last !== null);
  assert.deepEqual(Object.values((await scrubOf(farm)).last?.found ?? {}), [0, 0, 0, 0, 0, 0, 0]);
  flipBit();
  const found = await cli(farm, ["store", "fsck", "--json"]);
  assert.equal(found.code, 3, found.stdout);
  const report = JSON.parse(found.stdout) as FsckJson;
  assert.equal(report.corrupt, 1);
  assert.equal(report.corrupt_digests.length, 1);
  const ready = () => farm.json<{ ready: boolean; warnings: string[] }>("/readyz");
  await waitUntil("it is shown", 30_000, async () => (await ready()).warnings.length > 0);
  assert.deepEqual((await ready()).warnings, ["damaged content, which is refused: 1 blobs"]);
  assert.equal((await ready()).ready, true);
  assert.equal((await farm.json<StoreJson>("/v1/store")).damaged_blobs, 1);
  assert.match((await cli(farm, ["store", "stat"])).stdout, /damaged blobs +1\n/);
  assert.match((await cli(farm, ["doctor"])).stdout, /1 blobs are damaged and refused/);
  const repair = await cli(farm, ["store", "fsck", "--repair", "--subset", "1/1", "--json"]);
  assert.equal(repair.code, 3, repair.stdout);
  const { repaired } = JSON.parse(repair.stdout) as FsckJson;
  assert.deepEqual([repaired?.lost, repaired?.lost_digests], [1, report.corrupt_digests]);
  const [reference] = repaired?.lost_references[0]?.references ?? [];
  assert.deepEqual([reference?.project, reference?.ref, reference?.as], ["app", "v1", "file"]);
  const again = await publish(farm, "2222222");
  assert.equal(again.image_digest, first.image_digest);
  assert.equal((await cli(farm, ["store", "fsck"])).code, 0);
  const { blobs } = await farm.json<{ blobs: number }>("/v1/store");
  await farm.stop();

  const indexFile = join(data, "store", "index", "index.mdb");
  truncateSync(indexFile, 8_192);
  rmSync(join(data, "store", "index", "closed"));
  farm = await startTestFarm({ data });
  assert.match(farm.log(), /the index was rebuilt/, "a damaged index leads to its rebuild");
  assert.equal((await cli(farm, ["store", "fsck"])).code, 0);
  assert.equal((await farm.json<{ blobs: number }>("/v1/store")).blobs, blobs);
  await farm.stop();

  rmSync(join(data, "store", "index"), { recursive: true });
  const refused = await runCliProcess(["up", "--data", data, "--port", "0", "--json"], {
    cwd: folder,
    env: cache,
  });
  assert.equal(refused.code, 3, `a farm must not start on packs without their index: ${refused.stdout}`);
  const { hint } = JSON.parse(refused.stdout) as { hint: string };
  assert.ok(hint.endsWith(`granary store rebuild-index --data ${data}`), hint);
  const rebuilt = await runCliProcess(["store", "rebuild-index", "--data", data, "--json"], { cwd: folder });
  assert.equal(rebuilt.code, 0, rebuilt.stderr);
  farm = await startTestFarm({ data });
  assert.equal((await cli(farm, ["store", "fsck"])).code, 0);
  assert.equal((await farm.json<{ blobs: number }>("/v1/store")).blobs, blobs);
  const response = await farm.fetch(`/v2/default/app/blobs/${first.layers[0]?.digest}`);
  assert.equal(response.status, 200);
  assert.equal((await response.arrayBuffer()).byteLength, first.layers[0]?.size);
  await farm.stop();
});
