import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { GranaryError } from "../../proto/errors.ts";
import type { CurrentJson, Page, ReleaseJson } from "../../proto/http.ts";
import type { FsckJson } from "../../proto/http-store.ts";
import type { EventSnapshotJson, WebhookJson } from "../../proto/webhook-http.ts";
import { restoreBackup } from "../../services/shared/restore-backup.ts";
import { openStore } from "../../store/store.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { runCli, runCliProcess } from "../helpers/cli.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { ended, projectUrl, publish, publishReady, send } from "../helpers/farm-requests.ts";
import { WebhookReceiver } from "../helpers/webhook-receiver.ts";

const folder = tempDir("backup");
const [data, dir] = [join(folder, "data"), join(folder, "backup")];
after(() => {
  spawnSync("umount", ["-l", data]);
  removeDir(folder);
});

function cli(farm: Pick<TestFarm, "url" | "token">, ...args: string[]) {
  return runCli(args, { env: { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token }, cwd: folder });
}

/** What a user can see of two projects; URLs name a port that changes. */
async function look(farm: TestFarm) {
  const plain = <T extends object>(value: T): T => ({ ...value, url: "", image_ref: "" });
  const releases = await farm.json<Page<ReleaseJson>>(`${projectUrl("app")}/releases`);
  const previews = await farm.json<Page<object>>(`${projectUrl("app")}/previews`);
  return {
    current: plain(await farm.json<CurrentJson>(`${projectUrl("app")}/current`)),
    releases: releases.items.map(plain),
    previews: previews.items
      .map(plain)
      .map((preview) => JSON.stringify(preview).replaceAll(/127\.0\.0\.1:\d+/g, "")),
    events: (await farm.json<Page<{ project?: string }>>("/v1/events?limit=200&project=app")).items,
  };
}

test("a backup that is written while publishes run makes an equal farm on an empty folder; a damaged one is refused by name", {
  timeout: 180_000,
}, async () => {
  const args = ["--config", join(folder, "granary.toml")];
  writeFileSync(args[1] ?? "", "webhook_allow_private = true\n");
  let farm = await startTestFarm({ data, args });
  const receiver = new WebhookReceiver();
  await receiver.start();
  after(() => receiver.stop());
  const added = await cli(farm, "webhook", "add", receiver.url, "--type", "project.created", "--json");
  assert.equal(added.code, 0, added.stderr);
  const webhook = JSON.parse(added.stdout) as WebhookJson;
  receiver.secret = webhook.secret ?? "";
  for (let i = 1; i <= 3; i++)
    await publishReady(farm, "app", appArchive({ "a.txt": `${i}`, "b.txt": `shared` }));
  const preview = await publish(farm, "app", appArchive({ "a.txt": "p" }), {
    query: { preview: "pr-1" },
    waitSeconds: 30,
  });
  assert.ok(preview.status < 300, preview.text);
  await send(farm, `${projectUrl("app")}/rollbacks`, { json: { reason: "night" } });
  const before = await look(farm);

  let over = false;
  await publish(farm, "busy", appArchive({ "n.txt": "first" }));
  const busy = (async () => {
    const ids: string[] = [];
    for (let i = 0; !over; i++) {
      const answer = await publish(farm, "busy", appArchive({ "n.txt": `${i}` }));
      ids.push(answer.body.publish_id);
    }
    return ids;
  })();
  const written = await cli(farm, "backup", dir, "--json");
  assert.equal(written.code, 0, written.stderr);
  over = true;
  await busy;
  assert.deepEqual(await look(farm), before);
  const { seq: kept } = JSON.parse(written.stdout) as { seq: number };
  await publishReady(farm, "lost", appArchive({ "a.txt": "behind the backup" }));
  const lost = (await farm.json<EventSnapshotJson>("/v1/events/snapshot")).cursor;
  assert.ok(Number(lost.split("-")[0]) > kept);
  const again = await cli(farm, "backup", dir);
  assert.equal(again.code, 7, "a folder that is not empty is not written to");
  const { token } = farm;
  await farm.stop();

  const pack = join("store", "packs", readdirSync(join(dir, "store", "packs"))[0] ?? "");
  const damages: [string, (file: string) => void][] = [
    [pack, (file) => truncateSync(file, statSync(file).size - 1)],
    [pack, flip],
    [join("state", "state.mdb"), flip],
    ["backup.json", flip],
    [pack, (file) => rmSync(file)],
  ];
  for (const [name, damage] of damages) {
    const copy = join(folder, "damaged");
    cpSync(dir, copy, { recursive: true });
    damage(join(copy, name));
    const refused = await runCliProcess(["restore", copy, "--data", join(folder, "never"), "--json"], {
      cwd: folder,
    });
    assert.equal(refused.code, 3, refused.stdout);
    assert.ok(refused.stdout.includes(name), `${refused.stdout} names ${name}`);
    rmSync(copy, { recursive: true });
  }
  await refuseHostileBackups(pack);
  const taken = await runCliProcess(["restore", dir, "--data", data], { cwd: folder });
  assert.equal(taken.code, 7, "a data folder in use is not restored over");

  const digestsBefore = readFileSync(join(dir, "backup.json"), "utf8");
  await restoreBrokenOff();
  rmSync(data, { recursive: true });
  mkdirSync(data);
  // A volume of its own where root may mount one, as a container has it: nothing can take its name.
  spawnSync("mount", ["-t", "tmpfs", "-o", "size=512m", "tmpfs", data]);
  const restored = await runCliProcess(["restore", dir, "--data", data, "--json"], { cwd: folder });
  assert.equal(restored.code, 0, restored.stderr);
  assert.equal(readFileSync(join(dir, "backup.json"), "utf8"), digestsBefore);
  farm = await startTestFarm({ data, args });
  assert.equal(farm.token, token);
  assert.deepEqual(await look(farm), before);
  const fsck = await farm.json<FsckJson>("/v1/store:fsck", { method: "POST" });
  assert.deepEqual([fsck.corrupt, fsck.missing], [0, 0]);
  for (const { image_digest } of before.releases) {
    const manifest = await farm.fetch(`/v2/default/app/manifests/${image_digest}`);
    assert.equal(manifest.status, 200);
    for (const layer of ((await manifest.json()) as { layers: { digest: string }[] }).layers) {
      const blob = await farm.fetch(`/v2/default/app/blobs/${layer.digest}`);
      assert.equal(blob.status, 200);
      await blob.arrayBuffer();
    }
  }
  // What was accepted and had not ended goes on: with its upload to ready, without it to a failure with a code.
  const { items } = await farm.json<Page<{ publish_id: string }>>(`${projectUrl("busy")}/publishes`);
  for (const { publish_id } of items) {
    const end = await ended(farm, publish_id);
    assert.ok(end.state === "ready" || end.error?.code !== undefined, JSON.stringify(end));
  }
  // The key that seals webhooks' secrets came along: the receiver still knows the farm by its signature.
  const tested = await cli(farm, "webhook", "test", webhook.id);
  assert.deepEqual([tested.code, /^delivered/.test(tested.stdout)], [0, true], tested.stderr);
  const next = await publishReady(farm, "app", appArchive({ "a.txt": "4" }));
  assert.equal(next.version, "v4");
  // However far the new log has come: what was seen behind the backup is known to be undone, what was seen before it goes on.
  for (let i = 0; i < 6; i++) await publishReady(farm, "later", appArchive({ "a.txt": `${i}` }));
  const undone = await send<{ detail: string }>(farm, `/v1/events?cursor=${lost}`);
  assert.deepEqual([undone.status, /lost and undone/.test(undone.body.detail)], [410, true], undone.text);
  assert.equal((await send(farm, `/v1/events?cursor=${kept}-0`)).status, 200);
  await farm.stop();

  // As a crash in the middle of a backup leaves it.
  const store = await openStore({ dir: join(data, "store"), log: () => undefined });
  await store.acquireLease("backup", 3_600_000);
  await store.close();
  farm = await startTestFarm({ data });
  const collected = await send(farm, "/v1/store:gc?dry_run=true", { method: "POST" });
  assert.equal(
    collected.status,
    200,
    `a backup that ended with its farm keeps no garbage: ${collected.text}`,
  );
  await farm.stop();
});

type Manifest = { v: number; files: { path: string; size: number; sha256: string }[] };

/** Each is refused with a code and the file's name, at once, and nothing is written anywhere. */
async function refuseHostileBackups(pack: string): Promise<void> {
  const replace = (make: (file: string) => void) => (copy: string) => {
    rmSync(join(copy, pack));
    make(join(copy, pack));
  };
  const manifest = (change: (manifest: Manifest) => unknown) => (copy: string) => {
    const file = join(copy, "backup.json");
    const parsed = JSON.parse(readFileSync(file, "utf8").split("\n")[0] ?? "") as Manifest;
    const text = JSON.stringify(change(parsed) ?? parsed);
    writeFileSync(file, `${text}\n${createHash("sha256").update(text).digest("hex")}\n`);
  };
  const listed = (path: string) =>
    manifest(({ files }) => files.push({ ...first(files), path }) && undefined);
  const cases: [string, (copy: string) => void, RegExp][] = [
    ["a pipe", replace((file) => spawnSync("mkfifo", [file])), /not a plain file/],
    ["a link", replace((file) => symlinkSync(join(dir, pack), file)), /not a plain file/],
    ["a folder", replace((file) => mkdirSync(file)), /not a plain file/],
    ["a linked folder", (copy) => moveBehindLink(join(copy, "store")), /not a plain file/],
    ["a pipe for a list", (copy) => makePipe(join(copy, "backup.json")), /not a plain file/],
    ["a list without an end", (copy) => truncateSync(join(copy, "backup.json"), 2 ** 40), /the limit/],
    ["a list that is none", manifest(() => []), /backup\.json/],
    [
      "wrong types",
      manifest(({ files }) => Object.assign(first(files), { size: "1" }) && undefined),
      /files\.0\.size/,
    ],
    ["a path outside", listed("../outside"), /files\.\d+\.path/],
    ["an absolute path", listed("/tmp/outside"), /files\.\d+\.path/],
    ["a path of our own", listed(".restoring/x"), /files\.\d+\.path/],
    ["a file twice", manifest(({ files }) => files.push(first(files)) && undefined), /listed twice/],
    [
      "a file of other size",
      manifest(({ files }) => Object.assign(first(files), { size: 1 }) && undefined),
      /bytes, not/,
    ],
    [
      "the state left out",
      manifest((m) => ({ ...m, files: m.files.filter(({ path }) => !path.startsWith("state/")) })),
      /missing/,
    ],
    ["a newer version", manifest((m) => ({ ...m, v: 2 })), /version 2/],
  ];
  const never = join(folder, "never");
  for (const [name, damage, message] of cases) {
    const copy = join(folder, "hostile");
    cpSync(dir, copy, { recursive: true });
    damage(copy);
    await assert.rejects(
      restoreBackup({ dir: copy, dataDir: never, log: () => undefined }),
      (error: unknown) => {
        assert.ok(error instanceof GranaryError, `${name}: ${String(error)}`);
        assert.match(error.message, message, name);
        return error.code === (name === "a newer version" ? "STORE_FORMAT" : "STORE_CORRUPT");
      },
      name,
    );
    rmSync(copy, { recursive: true });
    const left = existsSync(never) ? readdirSync(never).filter((file) => !file.startsWith("farm.lock")) : [];
    assert.deepEqual(left, [], name);
  }
}

function first<T>(list: readonly T[]): T {
  return list[0] ?? assert.fail("the list is empty");
}

function makePipe(file: string): void {
  rmSync(file);
  spawnSync("mkfifo", [file]);
}

function moveBehindLink(path: string): void {
  renameSync(path, `${path}-away`);
  symlinkSync(`${path}-away`, path);
}

/** A crash between two renames at its end: what lies there is no farm, and the next restore begins anew. */
async function restoreBrokenOff(): Promise<void> {
  const half = join(folder, "half");
  await restoreBackup({ dir, dataDir: half, log: () => undefined });
  mkdirSync(join(half, ".restoring"));
  renameSync(join(half, "store"), join(half, ".restoring", "store"));
  const refused = await runCliProcess(["up", "--data", half, "--port", "0", "--json"], { cwd: folder });
  assert.equal(refused.code, 7, refused.stdout);
  assert.match(refused.stdout, /granary restore DIR --data/);
  const { releases } = await restoreBackup({ dir, dataDir: half, log: () => undefined });
  assert.ok(releases > 0 && !existsSync(join(half, ".restoring")));
}

function flip(file: string): void {
  const fd = openSync(file, "r+");
  const byte = Buffer.alloc(1);
  const at = Math.floor(statSync(file).size / 2);
  readSync(fd, byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ 4;
  writeSync(fd, byte, 0, 1, at);
  closeSync(fd);
}
