import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { digestOf } from "../../proto/digest.ts";
import type { ReleaseJson } from "../../proto/http.ts";
import type { FsckJson, GcJson, StoreJson } from "../../proto/http-store.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { runCli } from "../helpers/cli.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { makeToken, problemOf, projectUrl, publish, publishReady, send } from "../helpers/farm-requests.ts";
import { flipCopies } from "../helpers/store-disk.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const folder = tempDir("garbage");
let farm: TestFarm;

before(async () => {
  farm = await startTestFarm({ data: join(folder, "data"), args: ["--threads", "1"] });
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

/** Bytes of the store's packs and big files, as the disk says. */
function onDisk(): number {
  const out = execFileSync("du", ["-s", "-B1", "--apparent-size", join(farm.data, "store")], {
    encoding: "utf8",
  });
  return Number(out.split("\t")[0]);
}

/** Hex of this many random bytes: nothing else on the farm has it. */
function unique(bytes: number): string {
  return randomBytes(bytes).toString("hex");
}

function retire(project: string, version: string) {
  return send<ReleaseJson>(farm, `${projectUrl(project)}/releases/${version}:retire`, { json: {} });
}

async function granary(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return runCli(args, { env: { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token } });
}

function collect(query = ""): Promise<GcJson> {
  return farm.json<GcJson>(`/v1/store:gc${query}`, { method: "POST" });
}

/** Pulls an image blob by blob; the store verifies every one of them while it is read. */
async function pull(project: string, reference: string): Promise<number> {
  const manifest = await send<{ config: { digest: string }; layers: { digest: string }[] }>(
    farm,
    `/v2/default/${project}/manifests/${reference}`,
  );
  if (manifest.status !== 200) return manifest.status;
  for (const { digest } of [manifest.body.config, ...manifest.body.layers]) {
    const blob = await farm.fetch(`/v2/default/${project}/blobs/${digest}`);
    if (blob.status !== 200) return blob.status;
    await blob.arrayBuffer();
  }
  return 200;
}

describe("garbage collection", () => {
  test("what a retired release alone had is gone from the disk; what is kept can still be pulled", async () => {
    const shared = { "shared.txt": unique(10 * KIB) };
    const made: ReleaseJson[] = [];
    for (let i = 1; i <= 4; i++)
      made.push(await publishReady(farm, "app", appArchive({ ...shared, "own.txt": unique(MIB / 4) })));
    const shown = await publish(farm, "app", appArchive({ ...shared, "own.txt": unique(MIB / 4) }), {
      query: { preview: "pr-1" },
      waitSeconds: 30,
    });
    assert.equal(shown.status, 201, shown.text);
    const nothing = await collect("?dry_run=true");
    for (const version of ["v1", "v2"]) assert.equal((await retire("app", version)).status, 200);

    const before = onDisk();
    const dry = await granary("store", "gc", "--dry-run", "--json");
    assert.equal(dry.code, 0, dry.stderr);
    const told = JSON.parse(dry.stdout) as GcJson;
    assert.ok((told.reclaimable_bytes ?? 0) - (nothing.reclaimable_bytes ?? 0) > MIB, JSON.stringify(told));
    assert.equal(onDisk(), before, "a dry run changes nothing");
    const done = await collect();
    assert.ok(before - onDisk() > 0.9 * MIB, `${before} -> ${onDisk()}: ${JSON.stringify(done)}`);
    assert.ok((done.reclaimed_bytes ?? 0) > 0.99 * MIB, JSON.stringify(done));
    assert.equal(done.blobs, told.blobs);
    assert.deepEqual([done.reclaimed_bytes, done.segments], [told.reclaimable_bytes, told.segments]);

    assert.deepEqual(
      [await pull("app", "v1"), await pull("app", made[1]?.image_digest ?? ""), await pull("app", "v3")],
      [404, 404, 200],
    );
    assert.deepEqual([await pull("app", "current"), await pull("app", "preview-pr-1")], [200, 200]);
    const checked = await farm.json<FsckJson>("/v1/store:fsck", { method: "POST" });
    assert.deepEqual([checked.corrupt, checked.missing], [0, 0]);
    const stat = await farm.json<StoreJson>("/v1/store");
    assert.equal(stat.last_gc?.cause, "request");
    assert.equal(stat.last_gc?.reclaimed_bytes, done.reclaimed_bytes);
    const again = await collect();
    assert.equal(again.blobs, 0);
  });

  test("content that was collected can be published again", async () => {
    const archive = appArchive({ "own.txt": unique(MIB / 4) });
    const first = await publishReady(farm, "back", archive);
    await publishReady(farm, "back", appArchive({ "own.txt": unique(1_000) }));
    await retire("back", "v1");
    await collect();
    const again = await publishReady(farm, "back", archive);
    assert.deepEqual([again.version, again.image_digest], ["v3", first.image_digest]);
    assert.equal(await pull("back", "v3"), 200);
  });

  test("with an undo period the bytes stay, and what comes again in it has not to be written", async () => {
    const archive = appArchive({ "own.txt": unique(MIB / 4) });
    await publishReady(farm, "undo", archive);
    await publishReady(farm, "undo", appArchive({ "own.txt": unique(1_000) }));
    await retire("undo", "v1");
    const done = await collect("?grace=1h");
    assert.equal(done.blobs, 0);
    assert.ok(done.waiting_bytes > MIB / 2, JSON.stringify(done));
    await publishReady(farm, "undo", archive);
    assert.equal(await pull("undo", "v3"), 200);
    await collect();
    assert.equal(await pull("undo", "v3"), 200);
  });

  test("what two orgs have stays when one lets go of it, and neither learns of the other", async () => {
    const content = { "both.txt": unique(10 * KIB) };
    const other = await makeToken(farm, "other", ["admin"]);
    await publishReady(farm, "mine", appArchive({ ...content, "a.txt": "1" }));
    await publishReady(farm, "mine", appArchive({ "a.txt": "2" }));
    const theirs = await publishReady(farm, "theirs", appArchive(content), {
      org: "other",
      token: other.token,
    });
    await retire("mine", "v1");
    await collect();
    const layer = theirs.layers[0]?.digest ?? "";
    const blob = await farm.fetch(`/v2/other/theirs/blobs/${layer}`, { token: other.token });
    assert.equal(blob.status, 200);
    await blob.arrayBuffer();
    for (const path of ["/v1/store", `/v1/store/why/${layer}`])
      problemOf(await send(farm, path, { token: other.token }), 403, "FORBIDDEN");
    problemOf(await send(farm, "/v1/store:gc", { json: {}, token: other.token }), 403, "FORBIDDEN");
  });

  test("a damaged listing does not stop collection: its release is named, what it may name stays, publishing it again ends it", async () => {
    const text = unique(1_000);
    const archive = appArchive({ "own.txt": text });
    await publishReady(farm, "torn", archive, { query: { commit: "1111111" } });
    const line = Buffer.from(` ${digestOf(text).slice("sha256:".length)} `);
    flipCopies(join(farm.data, "store"), line, 20);
    const run = await granary("store", "gc");
    assert.equal(run.code, 3, run.stdout);
    assert.match(run.stderr, /is damaged, and nothing is left to make it anew from: default\/torn@v1/);
    const stat = await farm.json<StoreJson>("/v1/store");
    assert.equal(stat.last_gc?.error, undefined);
    assert.deepEqual(stat.last_gc?.damaged?.[0]?.references, [
      { org: "default", project: "torn", ref: "v1" },
    ]);
    assert.match((await granary("doctor")).stdout, /default\/torn@v1/);
    const metrics = await (await farm.fetch("/metrics")).text();
    assert.match(metrics, /^granary_gc_damaged_listings 1$/m);
    await publishReady(farm, "torn", archive, { query: { commit: "2222222" } });
    const again = await granary("store", "gc");
    assert.equal(again.code, 0, again.stderr);
    assert.equal(await pull("torn", "v1"), 200);
  });

  test("a wrong grace is refused", async () => {
    problemOf(await send(farm, "/v1/store:gc?grace=soon", { json: {} }), 400, "USAGE");
  });
});
