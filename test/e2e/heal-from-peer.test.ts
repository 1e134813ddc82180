import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Digest, digestHex, digestOf } from "../../proto/digest.ts";
import type { ReleaseJson } from "../../proto/http.ts";
import type { FsckJson, HealedJson, StoreHealJson } from "../../proto/http-store.ts";
import { rebuildIndex } from "../../store/rebuild-index.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { type CliResult, runCli } from "../helpers/cli.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { problemOf, publishReady, send } from "../helpers/farm-requests.ts";
import { noise } from "../helpers/hostile-sizes.ts";
import { findInPacks, flipBit } from "../helpers/store-disk.ts";
import { waitUntil } from "../helpers/wait-until.ts";

/** Two farms that were sent the same; one of them loses what its disk held, and is given it back by the other. */
const folder = tempDir("peer");
const store = join(folder, "damaged", "data", "store");
const BIG = noise(4_500_000).toString("hex");
const BIG_FILE = digestOf(Buffer.from(BIG));
const files: Record<string, string> = {
  big: BIG,
  ...Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`f${i}.txt`, `content ${i} `.repeat(50)])),
};
const archive = appArchive({ "a.txt": "a", ...files });
let farm: TestFarm;
let peer: TestFarm;
let release: ReleaseJson;

before(async () => {
  [farm, peer] = (await Promise.all(
    ["damaged", "peer"].map((name) => startTestFarm({ data: join(folder, name, "data") })),
  )) as [TestFarm, TestFarm];
  release = await publishReady(farm, "app", archive, { query: { commit: "1111111" } });
  const same = await publishReady(peer, "app", archive, { query: { commit: "1111111" } });
  assert.equal(same.image_digest, release.image_digest);
  mkdirSync(join(folder, "cli", "granary"), { recursive: true });
  const context = `[contexts.peer]\nurl = "${peer.url}"\ntoken = "${peer.token}"\n`;
  writeFileSync(join(folder, "cli", "granary", "config.toml"), context);
});
after(async () => {
  await farm.stop();
  await peer.stop();
  removeDir(folder);
});

function cli(...args: string[]): Promise<CliResult> {
  const env = { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token, XDG_CONFIG_HOME: join(folder, "cli") };
  return runCli(args, { env, cwd: folder });
}

async function heal(): Promise<{ code: number; healed: HealedJson; report: FsckJson }> {
  const { code, stdout, stderr } = await cli("store", "fsck", "--repair", "--from", "peer", "--json");
  assert.notEqual(stdout, "", stderr);
  const report = JSON.parse(stdout) as FsckJson & { healed: HealedJson };
  return { code, healed: report.healed, report };
}

async function lost(): Promise<readonly string[]> {
  return (await send<StoreHealJson>(farm, "/v1/store:heal", { method: "POST" })).body.lost_digests;
}

async function assertServed(): Promise<void> {
  for (const { digest } of release.layers) {
    const answer = await farm.fetch(`/v2/default/app/blobs/${digest}`);
    assert.equal(answer.status, 200);
    assert.equal(digestOf(Buffer.from(await answer.arrayBuffer())), digest);
  }
  assert.equal((await farm.fetch("/v2/default/app/manifests/v1")).status, 200);
}

function bigFile(digest: Digest, at = store): string {
  const hex = digestHex(digest);
  return join(at, "big", hex.slice(0, 2), hex);
}

test("flipped bits in a file and a large file are healed by a farm that has them, those of a listing by what its layers tell", async () => {
  const listing = Buffer.from(await (await peer.fetch(`/v1/store/blobs/${release.tree}`)).arrayBuffer());
  assert.equal(digestOf(listing), release.tree);
  for (const content of [listing, Buffer.from(files["f7.txt"] ?? "")]) {
    const { path, offset } = findInPacks(store, content);
    flipBit(path, offset + 3);
  }
  flipBit(bigFile(BIG_FILE), 5_000_000);
  const { code, healed, report } = await heal();
  assert.deepEqual([report.corrupt, report.repaired?.lost], [3, 2], JSON.stringify(report));
  assert.deepEqual([code, healed.healed, healed.not_there, healed.from], [0, 2, 0, peer.url]);
  await assertServed();
  assert.deepEqual(await lost(), []);
});

test("what nobody misses, what is something else, and what is cut off is not taken", async () => {
  const known = `/v1/store/blobs/${release.tree}`;
  const there = await send<{ existing: boolean }>(farm, known, { method: "PUT", bytes: Buffer.from("x") });
  assert.deepEqual([there.status, there.body.existing], [200, true], there.text);
  const alien = Buffer.from("nobody asked for this");
  const put = (digest: string, bytes: Uint8Array) =>
    send(farm, `/v1/store/blobs/${digest}`, { method: "PUT", bytes });
  problemOf(await put(digestOf(alien), alien), 409, "STATE_CONFLICT");
  problemOf(await put("sha256:short", alien), 400, "DIGEST_INVALID");
  const content = Buffer.from(files["f8.txt"] ?? "");
  const { path, offset } = findInPacks(store, content);
  flipBit(path, offset);
  await cli("store", "fsck");
  assert.deepEqual(await lost(), [digestOf(content)]);
  problemOf(await put(digestOf(content), alien), 400, "DIGEST_INVALID");
  assert.equal((await put(digestOf(content), content)).status, 201);
  assert.deepEqual(await lost(), []);
  problemOf(await send(peer, `/v1/store/blobs/${digestOf(alien)}`), 404, "BLOB_UNKNOWN");
  problemOf(await send(peer, `/v1/store/blobs/${release.layers[0]?.digest}`), 404, "BLOB_UNKNOWN");
  const alone = await cli("store", "fsck", "--from", "peer");
  assert.deepEqual([alone.code, /--repair/.test(alone.stderr)], [4, true], alone.stderr);
});

test("what is damaged there as well is named, and what else was lost has come", async () => {
  const [both = "", here = ""] = [files["f9.txt"], files["f10.txt"]];
  const peerStore = join(folder, "peer", "data", "store");
  for (const [at, content] of [
    [store, both],
    [store, here],
    [peerStore, both],
  ] as const) {
    const { path, offset } = findInPacks(at, Buffer.from(content));
    flipBit(path, offset);
  }
  // That one is found in the middle of being sent: the connection ends.
  for (const at of [store, peerStore]) flipBit(bigFile(BIG_FILE, at), 5_000_000);
  const { code, healed } = await heal();
  assert.deepEqual([code, healed.healed, healed.not_there], [3, 1, 2], JSON.stringify(healed));
  const left = [digestOf(Buffer.from(both)), BIG_FILE].sort();
  assert.deepEqual([...healed.not_there_digests].sort(), left);
  assert.deepEqual([...(await lost())].sort(), left);
  // Who publishes it again to either of them has healed both.
  await publishReady(peer, "again", appArchive({ both, big: BIG }));
  assert.equal((await heal()).code, 0);
});

test("a farm that lost all its content, and was killed while it was given it back, has it again", async () => {
  flipBit(bigFile(BIG_FILE), 17);
  await cli("store", "fsck");
  assert.deepEqual(await lost(), [BIG_FILE]);
  await breakOff(`/v1/store/blobs/${BIG_FILE}`, Buffer.from(BIG.slice(0, 1_000_000)));
  await waitUntil("a part has come", 10_000, () => readdirSync(join(store, "inbox")).length === 1);
  await farm.kill();
  for (const part of ["packs", "big"]) {
    rmSync(join(store, part), { recursive: true });
    mkdirSync(join(store, part));
  }
  await rebuildIndex(store, { log: () => undefined });
  farm = await startTestFarm({ data: farm.data });
  const found = await cli("store", "fsck", "--json");
  assert.equal(found.code, 3, "a rebuilt index knows of none of it, but releases do");
  const { missing_digests: missing } = JSON.parse(found.stdout) as FsckJson;
  for (const digest of [release.tree, release.image_digest, release.layers[0]?.digest ?? ""])
    assert.ok(missing.includes(digest), digest);
  assert.deepEqual(readdirSync(join(store, "inbox")), []);
  const { code, healed } = await heal();
  assert.equal(healed.not_there, 1, `only the log of its own publish: ${JSON.stringify(healed)}`);
  assert.equal(code, 3);
  assert.ok(healed.healed_digests.includes(BIG_FILE));
  assert.ok(readFileSync(bigFile(BIG_FILE)).equals(Buffer.from(BIG)));
  await assertServed();
  assert.equal((await lost()).length, 1);
});

/** Sends a part of a body, and leaves the connection open. */
function breakOff(path: string, part: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${farm.token}`, "content-length": String(BIG.length) };
    const sending = request(`${farm.url}${path}`, { method: "PUT", headers, agent: false });
    sending.once("error", () => undefined);
    sending.write(part, () => setTimeout(resolve, 200));
  });
}
