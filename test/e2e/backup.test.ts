import assert from "node:assert/strict";
import {
  closeSync,
  cpSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import type { CurrentJson, Page, ReleaseJson } from "../../proto/http.ts";
import type { FsckJson } from "../../proto/http-store.ts";
import type { WebhookJson } from "../../proto/webhook-http.ts";
import { openStore } from "../../store/store.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { runCli } from "../helpers/cli.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { ended, projectUrl, publish, publishReady, send } from "../helpers/farm-requests.ts";
import { WebhookReceiver } from "../helpers/webhook-receiver.ts";

const folder = tempDir("backup");
after(() => removeDir(folder));
const [data, dir] = [join(folder, "data"), join(folder, "backup")];

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
    const refused = await runCli(["restore", copy, "--data", join(folder, "never"), "--json"], {
      cwd: folder,
    });
    assert.equal(refused.code, 3, refused.stdout);
    assert.ok(refused.stdout.includes(name), `${refused.stdout} names ${name}`);
    rmSync(copy, { recursive: true });
  }
  const taken = await runCli(["restore", dir, "--data", data], { cwd: folder });
  assert.equal(taken.code, 7, "a data folder in use is not restored over");

  const digestsBefore = readFileSync(join(dir, "backup.json"), "utf8");
  rmSync(data, { recursive: true });
  const restored = await runCli(["restore", dir, "--data", data, "--json"], { cwd: folder });
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

function flip(file: string): void {
  const fd = openSync(file, "r+");
  const byte = Buffer.alloc(1);
  const at = Math.floor(statSync(file).size / 2);
  readSync(fd, byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ 4;
  writeSync(fd, byte, 0, 1, at);
  closeSync(fd);
}
