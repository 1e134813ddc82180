import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { CloudEvent } from "../../proto/events.ts";
import type {
  AuditJson,
  CurrentJson,
  DiffJson,
  FileJson,
  Page,
  PreviewJson,
  PublishJson,
  ReleaseJson,
} from "../../proto/http.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { runCli } from "../helpers/cli.ts";
import { eventually, removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import {
  type Answer,
  makeToken,
  problemOf,
  projectUrl,
  publish,
  publishReady,
  send,
  storeStat,
} from "../helpers/farm-requests.ts";

/** A preview ends at most this much late. */
const EXACT_MS = 5_000;
const folder = tempDir("previews");
let farm: TestFarm;

const start = () => startTestFarm({ data: join(folder, "data"), args: ["--threads", "1"] });

before(async () => {
  farm = await start();
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

function previewUrl(project: string, name = "pr-1"): string {
  return `${projectUrl(project)}/previews/${name}`;
}

function app(content: string): Uint8Array {
  return appArchive({ "version.txt": content });
}

/** Publishes to `pr-1` and waits. */
async function toPreview(
  project: string,
  content: string,
  options: { query?: Record<string, string>; token?: string } = {},
): Promise<PreviewJson> {
  const { query, token } = options;
  const answer = await publish(farm, project, app(content), {
    query: { preview: "pr-1", ...query },
    waitSeconds: 30,
    token,
  });
  assert.ok(answer.status === 201 || answer.status === 200, answer.text);
  assert.equal(answer.body.version, undefined);
  const { preview } = answer.body;
  assert.ok(preview !== undefined, answer.text);
  return preview;
}

function showPreview(project: string): Promise<Answer<PreviewJson>> {
  return send<PreviewJson>(farm, previewUrl(project));
}

function act<T>(project: string, verb: string, json: object = {}, token?: string): Promise<Answer<T>> {
  return send<T>(farm, `${previewUrl(project)}:${verb}`, { json, token });
}

/** Status of a pull by tag or digest. */
async function pulls(project: string, reference: string): Promise<number> {
  return (await send(farm, `/v2/default/${project}/manifests/${reference}`)).status;
}

async function eventTypes(project: string): Promise<string[]> {
  const { items } = await farm.json<Page<CloudEvent>>(`/v1/events?project=${project}&limit=200`);
  return items.map(({ type }) => type.replace(/^dev\.granary\.(.*)\.v1$/, "$1"));
}

/** Waits until the preview is gone. @returns ms after `expiresAt` */
async function gone(project: string, expiresAt: string | null): Promise<number> {
  const due = Date.parse(expiresAt ?? "");
  await eventually(
    async () => ((await showPreview(project)).status === 404 ? true : undefined),
    due - Date.now() + EXACT_MS,
    `${project} expires`,
  );
  return Date.now() - due;
}

describe("a preview", () => {
  test("is pulled by its tag and digest, has no version, and never touches the pointer", async () => {
    await publishReady(farm, "bot", app("live"));
    const live = await farm.json<CurrentJson>(`${projectUrl("bot")}/current`);
    const preview = await toPreview("bot", "candidate");
    assert.equal(Date.parse(preview.expires_at ?? "") - Date.parse(preview.updated_at), 72 * 3_600_000);
    assert.equal(preview.channel, "preview/pr-1");
    assert.equal(await pulls("bot", "preview-pr-1"), 200);
    assert.equal(await pulls("bot", preview.image_digest), 200);
    for (const { digest } of preview.layers)
      assert.equal((await send(farm, `/v2/default/bot/blobs/${digest}`)).status, 200);
    const tags = await farm.json<{ tags: string[] }>("/v2/default/bot/tags/list");
    assert.deepEqual(tags.tags, ["current", "preview-pr-1", "v1"]);
    const now = await farm.json<CurrentJson>(`${projectUrl("bot")}/current`);
    assert.deepEqual([now.version, now.generation], [live.version, live.generation]);
    const { items } = await farm.json<Page<PreviewJson>>(`${projectUrl("bot")}/previews`);
    assert.deepEqual(items, [(await showPreview("bot")).body]);
  });

  test("answers as a reference: the record, the files and the diff", async () => {
    await publishReady(farm, "refs", app("live"));
    const preview = await toPreview("refs", "candidate");
    const at = `${projectUrl("refs")}/releases/preview%2Fpr-1`;
    assert.equal((await farm.json<PreviewJson>(at)).image_digest, preview.image_digest);
    const files = await farm.json<Page<FileJson>>(`${at}/files`);
    assert.ok(files.items.some((file) => file.path === "version.txt"));
    const diff = await farm.json<DiffJson>(`${projectUrl("refs")}/diff?from=v1&to=preview/pr-1`);
    assert.deepEqual([diff.to, diff.counts.changed], ["preview/pr-1", 1]);
    problemOf(await send(farm, `${projectUrl("refs")}/releases/preview%2Fnone`), 404, "NOT_FOUND");
  });

  test("is a base for what is published next: what its preview has is not sent again", async () => {
    const files = { "a.txt": "a".repeat(5_000), "b.txt": "b" };
    const first = await publish(farm, "stack", appArchive(files), {
      query: { preview: "pr-1" },
      waitSeconds: 30,
    });
    assert.equal(first.body.preview?.stats.reused_blobs, 0, first.text);
    const next = await publish(farm, "stack", appArchive({ ...files, "b.txt": "c" }), {
      query: { preview: "pr-1" },
      waitSeconds: 30,
    });
    assert.deepEqual([next.body.preview?.stats.reused_blobs, next.body.preview?.stats.new_blobs], [1, 1]);
  });

  test("ends within 5 s of its time, is not served then, and stays in history and audit", async () => {
    const preview = await toPreview("short", "one", { query: { ttl: "2s" } });
    assert.equal(await pulls("short", "preview-pr-1"), 200);
    const lateMs = await gone("short", preview.expires_at);
    assert.ok(lateMs <= EXACT_MS, `${lateMs} ms late`);
    assert.equal(await pulls("short", "preview-pr-1"), 404);
    assert.equal(await pulls("short", preview.image_digest), 404);
    problemOf(await act("short", "promote"), 404, "NOT_FOUND");
    const all = await farm.json<Page<PreviewJson>>(`${projectUrl("short")}/previews?all=true`);
    assert.deepEqual(
      all.items.map(({ state, image_digest }) => [state, image_digest]),
      [["expired", preview.image_digest]],
    );
    assert.deepEqual((await farm.json<Page<PreviewJson>>(`${projectUrl("short")}/previews`)).items, []);
    assert.ok((await eventTypes("short")).includes("preview.expired"));
    const audit = await farm.json<Page<AuditJson>>("/v1/orgs/default/audit?project=short&limit=200");
    const row = audit.items.find(({ action, ok }) => action === "preview.expire" && ok);
    assert.deepEqual([row?.resource, row?.actor], ["preview/pr-1", "system:pointer"]);
  });

  test("lives on by every publish, is pinned and extended, and removed", async () => {
    const first = await toPreview("lives", "one", { query: { ttl: "3s" } });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const second = await toPreview("lives", "two");
    assert.ok(Date.parse(second.expires_at ?? "") >= Date.parse(first.expires_at ?? "") + 1_000);
    const pinned = await act<PreviewJson>("lives", "pin");
    assert.deepEqual([pinned.status, pinned.body.pinned, pinned.body.expires_at], [200, true, null]);
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    assert.equal((await showPreview("lives")).status, 200, "pinned: the first two ends have passed");
    const extended = await act<PreviewJson>("lives", "extend", { ttl: "7d" });
    assert.deepEqual([extended.body.pinned, extended.body.ttl_s], [false, 7 * 86_400]);
    problemOf(await act("lives", "extend", { ttl: "soon" }), 400, "USAGE");
    const removed = await send(farm, previewUrl("lives"), { method: "DELETE", json: { reason: "merged" } });
    assert.equal(removed.status, 204, removed.text);
    assert.equal(await pulls("lives", second.image_digest), 404);
    problemOf(await send(farm, previewUrl("lives"), { method: "DELETE" }), 404, "NOT_FOUND");
  });

  test("is promoted to a release of the same image without a rebuild and without new content", async () => {
    await publishReady(farm, "promoted", app("live"));
    const preview = await toPreview("promoted", "candidate", { query: { commit: "c0ffee1" } });
    const stored = await storeStat(farm);
    const promoted = await act<ReleaseJson>("promoted", "promote", { image_digest: preview.image_digest });
    assert.equal(promoted.status, 201, promoted.text);
    const { version, image_digest, activated, promoted_from, commit } = promoted.body;
    assert.deepEqual(
      [version, image_digest, activated, promoted_from, commit],
      ["v2", preview.image_digest, true, "preview/pr-1", "c0ffee1"],
    );
    const current = await farm.json<CurrentJson>(`${projectUrl("promoted")}/current`);
    assert.deepEqual([current.version, current.generation], ["v2", 2]);
    const { blobs, layers, packed_bytes } = await storeStat(farm);
    assert.deepEqual([blobs, layers, packed_bytes], [stored.blobs, stored.layers, stored.packed_bytes]);
    const again = await act<ReleaseJson>("promoted", "promote");
    assert.deepEqual([again.status, again.body.existing, again.body.version], [200, true, "v2"]);
    await send(farm, previewUrl("promoted"), { method: "DELETE" });
    assert.equal(await pulls("promoted", preview.image_digest), 200, "the release references it");
    assert.equal(await pulls("promoted", "preview-pr-1"), 404);
  });

  test("is promoted without going live when that is asked, or while the project is held", async () => {
    await publishReady(farm, "quiet", app("live"));
    await toPreview("quiet", "one");
    const quiet = await act<ReleaseJson>("quiet", "promote", { activate: false });
    assert.equal(quiet.body.not_activated_reason, "not_requested");
    await send(farm, `${projectUrl("quiet")}/holds`, { json: { reason: "freeze" } });
    await toPreview("quiet", "two");
    const held = await act<ReleaseJson>("quiet", "promote");
    assert.equal(held.body.not_activated_reason, "held");
    assert.equal((await farm.json<CurrentJson>(`${projectUrl("quiet")}/current`)).version, "v1");
  });

  test("whose promotion, extension or removal races its end lives on or is gone, never half of each", async () => {
    const race = async (project: string, verb: "promote" | "extend" | "remove", lateMs: number) => {
      const preview = await toPreview(project, project, { query: { ttl: "2s" } });
      // Around the moment at which the sweeper comes by, which is up to a second after the end.
      const at = Date.parse(preview.expires_at ?? "") + lateMs;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, at - Date.now())));
      const headers = { "idempotency-key": "race" };
      const ask = () =>
        verb === "remove"
          ? send<PreviewJson>(farm, previewUrl(project), { method: "DELETE", headers })
          : send<PreviewJson>(farm, `${previewUrl(project)}:${verb}`, {
              json: verb === "extend" ? { ttl: "1s" } : {},
              headers,
            });
      const answer = await ask();
      const isDone = answer.status !== 404;
      if (isDone) assert.equal(answer.status, { promote: 201, extend: 200, remove: 204 }[verb], answer.text);
      else problemOf(answer, 404, "NOT_FOUND");
      const { items } = await farm.json<Page<ReleaseJson>>(`${projectUrl(project)}/releases`);
      const promoted = verb === "promote" && isDone ? [preview.image_digest] : [];
      assert.deepEqual(
        items.map(({ image_digest }) => image_digest),
        promoted,
      );
      await gone(project, verb === "extend" && isDone ? answer.body.expires_at : preview.expires_at);
      const told = (await eventTypes(project)).filter((type) =>
        ["preview.promoted", "preview.expired", "preview.removed"].includes(type),
      );
      const end = verb === "remove" && isDone ? "preview.removed" : "preview.expired";
      assert.deepEqual(told, [...promoted.map(() => "preview.promoted"), end]);
      assert.equal((await ask()).status, answer.status, "asked again it is told the same");
    };
    const verbs = ["promote", "extend", "remove"] as const;
    await Promise.all(
      Array.from({ length: 15 }, (_, i) => race(`race-${i}`, verbs[i % 3] ?? "promote", 80 * i)),
    );
  });

  test("shows the newest of many publishes; those that it overtook in the queue end so, visibly", async () => {
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        publish(farm, "busy", app(`content ${i}`), { query: { preview: "pr-1" } }),
      ),
    );
    for (const { status, text } of answers) assert.equal(status, 202, text);
    const ends = await Promise.all(
      answers.map(({ body }) => farm.json<PublishJson>(`/v1/publishes/${body.publish_id}?wait=60`)),
    );
    const newest = ends.reduce((a, b) => (a.order > b.order ? a : b));
    assert.equal(newest.state, "ready");
    assert.equal((await showPreview("busy")).body.publish_id, newest.publish_id);
    const overtaken = ends.filter(({ state }) => state === "overtaken");
    assert.ok(overtaken.length > 0, ends.map(({ state }) => state).join());
    for (const { overtaken_by, order, error } of overtaken) {
      const by = ends.find(({ publish_id }) => publish_id === overtaken_by);
      assert.ok(by !== undefined && by.order > order);
      assert.equal(error?.code, "OVERTAKEN");
    }
    assert.ok(ends.every(({ state }) => state === "ready" || state === "overtaken"));
    const waited = await runCli(["wait", overtaken[0]?.publish_id ?? "", "--json"], {
      env: { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token },
    });
    assert.equal(waited.code, 13, waited.stderr);
    const types = await eventTypes("busy");
    assert.equal(types.filter((type) => type === "publish.overtaken").length, overtaken.length);
  });
});

describe("a farm that was away", () => {
  test("ends previews whose time passed meanwhile within 5 s of its return, and keeps the others", async () => {
    for (const [preview, ttl] of [
      ["short", "1s"],
      ["long", "1h"],
    ] as const) {
      const query = { preview, ttl };
      const { status } = await publish(farm, "bot", app(preview), { query, waitSeconds: 30 });
      assert.equal(status, 201);
    }
    await farm.kill();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    farm = await start();
    await eventually(
      async () => ((await send(farm, previewUrl("bot", "short"))).status === 404 ? true : undefined),
      EXACT_MS,
      "the preview whose time has passed ends",
    );
    assert.equal((await send(farm, previewUrl("bot", "long"))).status, 200);
  });
});

describe("access to previews", () => {
  test("a token with only `preview` publishes, pins, extends and removes previews, and cannot touch production", async () => {
    await publishReady(farm, "guarded", app("live"));
    const { token } = await makeToken(farm, "default", ["preview"]);
    await toPreview("guarded", "candidate", { token });
    assert.equal((await act("guarded", "pin", {}, token)).status, 200);
    assert.equal((await act("guarded", "extend", { ttl: "1h" }, token)).status, 200);
    for (const answer of [
      await act("guarded", "promote", {}, token),
      await act("guarded", "promote", { activate: false }, token),
      await publish(farm, "guarded", app("x"), { token }),
      await publish(farm, "guarded", app("x"), { token, query: { activate: "false" } }),
      await send(farm, `${projectUrl("guarded")}/activations`, { json: { version: "v1" }, token }),
      await send(farm, `${projectUrl("guarded")}/rollbacks`, { json: {}, token }),
      await send(farm, `${projectUrl("guarded")}/holds`, { json: {}, token }),
      await send(farm, `${projectUrl("guarded")}/settings`, { method: "PUT", json: {}, token }),
    ])
      problemOf(answer, 403, "FORBIDDEN");
    assert.equal((await send(farm, previewUrl("guarded"), { method: "DELETE", token })).status, 204);
    const { items } = await farm.json<Page<ReleaseJson>>(`${projectUrl("guarded")}/releases`);
    assert.equal(items.length, 1);
  });

  test("a token with only `publish` cannot make previews, and one with only `activate` promotes them", async () => {
    await toPreview("split", "candidate");
    const publisher = await makeToken(farm, "default", ["publish"]);
    const refused = await publish(farm, "split", app("x"), {
      token: publisher.token,
      query: { preview: "pr-1" },
    });
    problemOf(refused, 403, "FORBIDDEN");
    const activator = await makeToken(farm, "default", ["activate"]);
    problemOf(await act("split", "pin", {}, activator.token), 403, "FORBIDDEN");
    assert.equal((await act("split", "promote", {}, activator.token)).status, 201);
  });

  test("another org's preview answers like one that does not exist", async () => {
    await toPreview("hidden", "candidate");
    const { token } = await makeToken(farm, "elsewhere", ["admin"]);
    for (const [path, method] of [
      ["/previews", "GET"],
      ["/previews/pr-1", "GET"],
      ["/previews/pr-1", "DELETE"],
      ["/previews/pr-1:pin", "POST"],
      ["/previews/pr-1:extend", "POST"],
      ["/previews/pr-1:promote", "POST"],
    ] as const) {
      const body = method === "POST" ? { json: {} } : {};
      const theirs = await send(farm, `${projectUrl("hidden")}${path}`, { method, token, ...body });
      assert.equal(theirs.status, 404, `${method} ${path}`);
    }
    assert.equal((await showPreview("hidden")).status, 200);
  });

  test("a wrong name, a ttl without a preview and one that is none are refused before anything happens", async () => {
    for (const query of [{ preview: "PR 1" }, { preview: "v1" }])
      problemOf(await publish(farm, "bad", app("x"), { query }), 400, "NAME_INVALID");
    for (const query of [{ ttl: "72h" }, { preview: "pr-1", ttl: "0s" }, { preview: "pr-1", ttl: "9999d" }])
      problemOf(await publish(farm, "bad", app("x"), { query }), 400, "USAGE");
    problemOf(await send(farm, projectUrl("bad")), 404, "NOT_FOUND");
  });
});

describe("previews on the command line", () => {
  const cli = (args: readonly string[]) =>
    runCli(args, { env: { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token }, cwd: "examples" });

  test("publish --preview, ls, show, files, diff, verify, pin, extend, promote and rm work end to end", async () => {
    const published = await cli(["publish", "support-bot", "-p", "cli", "--preview", "pr-7", "--ttl", "1h"]);
    assert.equal(published.code, 0, published.stderr);
    const [name, imageRef] = published.stdout.trim().split(" ");
    assert.equal(name, "default/cli@preview/pr-7");
    const again = await cli(["publish", "support-bot", "-p", "cli", "--preview", "pr-7", "--json"]);
    assert.equal((JSON.parse(again.stdout) as PreviewJson).image_ref, imageRef);
    const listed = await cli(["preview", "ls", "cli", "--json"]);
    assert.equal((JSON.parse(listed.stdout) as PreviewJson[])[0]?.name, "pr-7");
    const shown = await cli(["show", "cli@preview/pr-7", "-q"]);
    assert.equal(shown.stdout.trim(), imageRef);
    assert.match((await cli(["files", "default/cli@preview/pr-7"])).stdout, /karta\.toml/);
    const verified = await cli(["verify", "support-bot", "default/cli@preview/pr-7"]);
    assert.equal(verified.code, 0, verified.stderr);
    assert.match((await cli(["preview", "pin", "cli", "pr-7"])).stdout, /pinned/);
    assert.match((await cli(["preview", "extend", "cli@preview/pr-7", "--ttl", "2h"])).stdout, /ends 2/);
    const promoted = await cli(["preview", "promote", "cli", "pr-7"]);
    assert.equal(promoted.stdout.trim(), `default/cli@v1 ${imageRef}`, promoted.stderr);
    const diff = await cli(["diff", "cli@v1", "cli@preview/pr-7", "--json"]);
    assert.equal((JSON.parse(diff.stdout) as DiffJson).same_image, true);
    assert.equal((await cli(["preview", "rm", "cli", "pr-7"])).code, 0);
    assert.equal((await cli(["preview", "rm", "cli", "pr-7"])).code, 6);
    assert.equal((await cli(["show", "cli@preview/pr-7"])).code, 6);
    assert.equal((await cli(["activate", "cli@preview/pr-7"])).code, 4);
  });
});
