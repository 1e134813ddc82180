import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, before, describe, test } from "node:test";
import type { BackupJson } from "../../proto/http-pointer.ts";
import type { FsckJson, GcJson } from "../../proto/http-store.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { eventually, removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { problemOf, projectUrl, publish, publishReady, send } from "../helpers/farm-requests.ts";

const DISK_MIB = 256;
const INODES = 8_000;
const folder = tempDir("full-disk");
const disk = join(folder, "disk");
mkdirSync(disk);
const mounted =
  spawnSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_MIB}m,nr_inodes=${INODES}`, "tmpfs", disk]).status ===
  0;

describe("a farm whose disk is full", { skip: mounted ? false : "needs root to mount a small tmpfs" }, () => {
  let farm: TestFarm;
  before(async () => {
    farm = await startTestFarm({ data: join(disk, "data") });
    await publishReady(farm, "bot", appArchive({ a: "1" }), { query: { commit: "1111111" } });
    await publishReady(farm, "bot", appArchive({ a: "2" }), { query: { commit: "2222222" } });
  });
  after(async () => {
    assert.equal(await farm.stop(), 0);
    spawnSync("umount", ["-l", disk]);
    removeDir(folder);
  });

  test("refuses uploads and commands with STORE_FULL, reads on, and resumes by itself when there is room", async () => {
    const filler = join(disk, "filler");
    fill(filler, 0);
    // The log meets the end of the disk as well: whatever this comes to, it is one of these, and soon.
    const commands = await Promise.all(
      [1, 2].map((version) => send(farm, `${projectUrl("bot")}/activations`, { json: { version } })),
    );
    for (const answer of commands) problemOf(answer, 507, "STORE_FULL");
    problemOf(await publish(farm, "bot", appArchive({ a: "3" })), 507, "STORE_FULL");
    const current = await send<{ version: string; image_digest: string }>(
      farm,
      `${projectUrl("bot")}/current`,
    );
    assert.deepEqual([current.status, current.body.version], [200, "v2"]);
    assert.equal((await send(farm, `/v2/default/bot/manifests/${current.body.image_digest}`)).status, 200);

    rmSync(filler);
    const resumed = await eventually(
      async () => {
        const answer = await send(farm, `${projectUrl("bot")}/activations`, { json: { version: 1 } });
        return answer.status === 200 ? answer : undefined;
      },
      30_000,
      "commands again",
    );
    assert.equal(resumed.status, 200);
    const release = await publishReady(farm, "bot", appArchive({ a: "3" }), { query: { commit: "3333333" } });
    assert.equal(release.version, "v3");
    const fsck = await farm.json<{ corrupt: number; missing: number }>("/v1/store:fsck", { method: "POST" });
    assert.deepEqual([fsck.corrupt, fsck.missing], [0, 0]);
  });

  test("collects garbage when nothing is left of the disk, which is when an operator does it, and publishes resume", async () => {
    const own = (bytes: number): string => randomBytes(bytes).toString("hex");
    const kept = own(50_000);
    await publishReady(farm, "full", appArchive({ "own.txt": own(3_000_000), "kept.txt": kept }));
    await publishReady(farm, "full", appArchive({ "kept.txt": kept }));
    const retired = await send(farm, `${projectUrl("full")}/releases/v1:retire`, { json: {} });
    assert.equal(retired.status, 200, retired.text);
    const filler = join(disk, "filler");
    fill(filler, 0);
    problemOf(await publish(farm, "full", appArchive({ a: "4" })), 507, "STORE_FULL");
    const run = await send<GcJson>(farm, "/v1/store:gc", { method: "POST" });
    assert.equal(run.status, 200, run.text);
    assert.ok((run.body.reclaimed_bytes ?? 0) > 5_000_000, run.text);
    rmSync(filler);
    const resumed = await eventually(
      async () => {
        const answer = await publish(farm, "full", appArchive({ a: "5" }), { waitSeconds: 30 });
        return answer.status === 201 ? answer : undefined;
      },
      60_000,
      "publishes again",
    );
    assert.equal(resumed.body.release?.version, "v3");
    assert.equal((await send(farm, `/v2/default/full/manifests/v2`)).status, 200);
    const fsck = await farm.json<FsckJson>("/v1/store:fsck", { method: "POST" });
    assert.deepEqual([fsck.corrupt, fsck.missing], [0, 0]);
  });

  test("refuses the same when its inodes run out, reads and collects on, and resumes by itself", async () => {
    const many = join(disk, "many");
    const own = appArchive({ "own.txt": randomBytes(1_000_000).toString("hex") });
    await publishReady(farm, "inodes", own);
    await publishReady(farm, "inodes", appArchive({ a: "1" }));
    assert.equal((await send(farm, `${projectUrl("inodes")}/releases/v1:retire`, { json: {} })).status, 200);
    useInodes(many);
    problemOf(await publish(farm, "inodes", appArchive({ a: "2" })), 507, "STORE_FULL");
    const refused = await send(farm, `${projectUrl("bot")}/activations`, { json: { version: 1 } });
    problemOf(refused, 507, "STORE_FULL");
    assert.match(refused.text, /inodes/);
    assert.equal((await send(farm, `/v2/default/inodes/manifests/v2`)).status, 200);
    const run = await send<GcJson>(farm, "/v1/store:gc", { method: "POST" });
    assert.equal(run.status, 200, run.text);
    assert.ok(run.body.blobs > 0, run.text);
    rmSync(many, { recursive: true });
    const release = await eventually(
      async () => {
        const answer = await publish(farm, "inodes", appArchive({ a: "3" }), { waitSeconds: 30 });
        return answer.status === 201 ? answer.body.release : undefined;
      },
      60_000,
      "publishes again",
    );
    assert.equal(release?.version, "v3");
    const fsck = await farm.json<FsckJson>("/v1/store:fsck", { method: "POST" });
    assert.deepEqual([fsck.corrupt, fsck.missing, fsck.orphaned], [0, 0, 0]);
  });

  test("makes no root of what is kept for others: it is refused before, leaves nothing, and is made when there is room", async () => {
    const own = randomBytes(8_000_000).toString("hex");
    await publishReady(
      farm,
      "roots",
      appArchive({ "a.txt": own.slice(0, 8_000_000), "b.txt": own.slice(8_000_000) }),
    );
    const filler = join(disk, "filler");
    // Uploads are refused below 5 % of this disk, 13 MiB: one of the two files would fit.
    fill(filler, 22);
    const path = `${projectUrl("roots")}/releases/v1:materialize`;
    problemOf(await send(farm, path, { method: "POST" }), 507, "STORE_FULL");
    assert.deepEqual(readdirSync(join(disk, "data", "roots", ".staging")), []);
    assert.ok(statfsSync(disk).bavail * statfsSync(disk).bsize > 13 * 1024 * 1024);
    rmSync(filler);
    const made = await send<{ files: number }>(farm, path, { method: "POST" });
    assert.deepEqual([made.status, made.body.files], [200, 2], made.text);
  });

  test("says that a backup's disk is full, and takes the next backup elsewhere", async () => {
    const small = join(folder, "small");
    mkdirSync(small);
    spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", small]);
    try {
      await publishReady(farm, "saved", appArchive({ "own.txt": randomBytes(1_000_000).toString("hex") }));
      const states: string[] = [];
      for (const dir of [join(small, "backup"), join(folder, "backup")]) {
        assert.equal((await send(farm, "/v1/farm:backup", { json: { dir } })).status, 202);
        const ended = await eventually(
          async () => {
            const { body } = await send<BackupJson>(farm, "/v1/farm/backup");
            return body.state === "running" ? undefined : body;
          },
          60_000,
          "the end of a backup",
        );
        states.push(ended.state, ended.error?.code ?? "");
      }
      assert.deepEqual(states, ["failed", "STORE_FULL", "done", ""]);
    } finally {
      spawnSync("umount", ["-l", small]);
    }
  });

  test("refuses an upload that would take the last of it: at once where its length is known, else on its way; commands go on", async () => {
    const filler = join(disk, "filler");
    fill(filler, 24);
    const chunk = randomBytes(1024 * 1024);
    chunk.writeUInt16BE(0x1f8b);
    const path = `${projectUrl("bot")}/publishes`;
    const headers = { "content-type": "application/gzip" };
    const known = await send(farm, path, { headers, bytes: Buffer.concat(Array<Buffer>(20).fill(chunk)) });
    assert.match(problemOf(known, 507, "STORE_FULL").detail, /no room for an upload of 20971520 bytes/);
    const body = Readable.from(Array<Buffer>(40).fill(chunk));
    const unknown = await farm.fetch(path, { method: "POST", headers, body, duplex: "half" } as never);
    assert.equal(unknown.status, 507, await unknown.text());
    const answer = await send(farm, `${projectUrl("bot")}/activations`, { json: { version: 1 } });
    assert.equal(answer.status, 200, answer.text);
    rmSync(filler);
  });

  test("takes small commands longer than uploads", async () => {
    const filler = join(disk, "filler");
    fill(filler, 11);
    problemOf(await publish(farm, "bot", appArchive({ a: "4" })), 507, "STORE_FULL");
    const answer = await send(farm, `${projectUrl("bot")}/activations`, { json: { version: 2 } });
    assert.equal(answer.status, 200, answer.text);
    rmSync(filler);
  });
});

/** Takes the room of the small disk but for `leaveMib`; refuses to do that to any other. */
function fill(path: string, leaveMib: number): void {
  const { blocks, bsize } = statfsSync(disk);
  assert.ok(blocks * bsize <= DISK_MIB * 1024 * 1024, "this is not the disk that was mounted for it");
  const fd = openSync(path, "w");
  const page = Buffer.alloc(4096);
  try {
    while (statfsSync(disk).bavail * bsize > leaveMib * 1024 * 1024) writeSync(fd, page);
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
  } finally {
    closeSync(fd);
  }
}

/** Takes all inodes of the small disk; refuses to do that to any other. */
function useInodes(dir: string): void {
  assert.ok(statfsSync(disk).files <= INODES, "this is not the disk that was mounted for it");
  mkdirSync(dir);
  try {
    for (let n = 0; n <= INODES; n++) closeSync(openSync(join(dir, String(n)), "w"));
    assert.fail("the inodes did not run out");
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
  }
}
