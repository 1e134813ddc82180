import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { digestOf } from "../../proto/digest.ts";
import type { ProjectJson, ReleaseJson } from "../../proto/http.ts";
import type { StoreWhyJson } from "../../proto/http-store.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { runCli } from "../helpers/cli.ts";
import { eventually, removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { makeToken, problemOf, projectUrl, publish, publishReady, send } from "../helpers/farm-requests.ts";
import { listFiles, plan } from "../helpers/listing.ts";

const folder = tempDir("retention");
let farm: TestFarm;

before(async () => {
  farm = await startTestFarm({ data: join(folder, "data"), args: ["--threads", "1"] });
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

/** Publishes v1..vN, each live in its turn. */
async function releases(project: string, count: number): Promise<ReleaseJson[]> {
  const made: ReleaseJson[] = [];
  for (let i = 1; i <= count; i++)
    made.push(await publishReady(farm, project, appArchive({ "version.txt": `${project} ${i}` })));
  return made;
}

function retire(project: string, version: string, options: { token?: string; json?: object } = {}) {
  return send<ReleaseJson>(farm, `${projectUrl(project)}/releases/${version}:retire`, {
    json: options.json ?? {},
    token: options.token,
  });
}

async function pulls(project: string, reference: string): Promise<number> {
  return (await send(farm, `/v2/default/${project}/manifests/${reference}`)).status;
}

async function states(project: string): Promise<string[]> {
  const { items } = await farm.json<{ items: ReleaseJson[] }>(`${projectUrl(project)}/releases`);
  return items.map(({ version, state }) => `${version} ${state}`);
}

function why(digest: string) {
  return farm.json<StoreWhyJson>(`/v1/store/why/${digest}`);
}

describe("what keeps content", () => {
  test("every reference to a blob is named, until the release that has it is retired", async () => {
    const shared = { "shared.txt": "both have this", "lib/deep.txt": "and this" };
    for (const version of ["1", "2"])
      await publishReady(farm, "why", appArchive({ ...shared, "version.txt": version }));
    const preview = await publish(farm, "why", appArchive({ ...shared, "version.txt": "3" }), {
      query: { preview: "pr-1" },
      waitSeconds: 30,
    });
    assert.equal(preview.status, 201, preview.text);
    const digest = digestOf("both have this");
    const named = async () =>
      (await why(digest)).references.map(({ project, ref, as, path }) => [project, ref, as, path]);
    assert.deepEqual(await named(), [
      ["why", "preview/pr-1", "file", "shared.txt"],
      ["why", "v1", "file", "shared.txt"],
      ["why", "v2", "file", "shared.txt"],
    ]);
    await retire("why", "v1");
    assert.equal((await named()).length, 2);
    const current = await farm.json<ReleaseJson>(`${projectUrl("why")}/current`);
    for (const [part, as] of [
      [current.image_digest, "manifest"],
      [current.tree, "tree"],
      [current.layers[0]?.digest ?? "", "layer"],
    ] as const) {
      const { references, stored } = await why(part);
      assert.ok(stored !== null && stored.size > 0, as);
      assert.ok(
        references.some((reference) => reference.as === as && reference.ref === "v2"),
        JSON.stringify(references),
      );
    }
  });

  test("work under way is named too, and what garbage collection condemned says until when that can be undone", async () => {
    const text = "listed and condemned";
    await publishReady(farm, "under-way", appArchive({ "own.txt": text }));
    await publishReady(farm, "under-way", appArchive({ "own.txt": "another" }));
    const planned = await plan(farm, "under-way", listFiles({ "own.txt": text, "new.txt": "new" }).listing);
    await retire("under-way", "v1");
    const digest = digestOf(text);
    const { references } = await why(digest);
    assert.deepEqual(references, [
      { org: "default", project: "under-way", ref: planned.body.session, as: "upload session" },
    ]);
    await publishReady(farm, "gone", appArchive({ "own.txt": "condemned" }));
    await publishReady(farm, "gone", appArchive({ "own.txt": "kept" }));
    await retire("gone", "v1");
    const begun = Date.now();
    await farm.json("/v1/store:gc?grace=1h", { method: "POST" });
    const { stored, condemned } = await why(digestOf("condemned"));
    assert.equal(stored, null);
    assert.ok(Date.parse(condemned?.at ?? "") >= begun && Date.parse(condemned?.undo_until ?? "") > begun);
    assert.equal((await why(digest)).condemned, undefined, "the session keeps it");
    const env = { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token };
    const cli = await runCli(["store", "why", digestOf("condemned")], { env });
    assert.deepEqual([cli.code, /counts as absent, and may be deleted from/.test(cli.stderr)], [0, true]);
  });

  test("a digest that nobody has is answered as such, and who may not look at the farm learns nothing", async () => {
    const digest = digestOf("nobody has this");
    assert.deepEqual(await why(digest), { digest, stored: null, references: [], truncated: false });
    problemOf(await send(farm, "/v1/store/why/sha256:12"), 400, "DIGEST_INVALID");
    const admin = await makeToken(farm, "default", ["admin"]);
    problemOf(await send(farm, `/v1/store/why/${digest}`, { token: admin.token }), 403, "FORBIDDEN");
    const env = { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token };
    const cli = await runCli(["store", "why", digest], { env });
    assert.deepEqual([cli.code, cli.stdout], [6, `${digest}: not stored\n`]);
  });
});

describe("retirement", () => {
  test("a retired release stays listed; its image, files and diffs are gone, and it cannot go live", async () => {
    const [first] = await releases("ended", 2);
    assert.ok(first !== undefined);
    const answer = await retire("ended", "v1", { json: { reason: "leaked key" } });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.state, "retired");
    assert.match(answer.body.retired_by ?? "", /^token:/);
    assert.deepEqual(await states("ended"), ["v2 active", "v1 retired"]);
    const shown = await farm.json<ReleaseJson>(`${projectUrl("ended")}/releases/v1`);
    assert.equal(shown.image_digest, first.image_digest);
    assert.equal(await pulls("ended", "v1"), 404);
    assert.equal(await pulls("ended", first.image_digest), 404);
    assert.equal(await pulls("ended", "v2"), 200);
    const url = projectUrl("ended");
    problemOf(await send(farm, `${url}/releases/v1/files`), 409, "RELEASE_RETIRED");
    problemOf(await send(farm, `${url}/diff?from=v1&to=v2`), 409, "RELEASE_RETIRED");
    problemOf(await send(farm, `${url}/activations`, { json: { version: "v1" } }), 409, "RELEASE_RETIRED");
    problemOf(await send(farm, `${url}/rollbacks`, { json: { to: "v1" } }), 409, "RELEASE_RETIRED");
  });

  test("what is live is not retired, nor by a token that may only publish, nor from another org", async () => {
    await releases("kept", 2);
    const { params } = problemOf(await retire("kept", "v2"), 409, "RELEASE_IN_USE");
    assert.equal(params["kept_by"], "it is live");
    problemOf(await retire("kept", "v9"), 404, "NOT_FOUND");
    const writer = await makeToken(farm, "default", ["write", "rollback"]);
    problemOf(await retire("kept", "v1", { token: writer.token }), 403, "FORBIDDEN");
    const foreign = await makeToken(farm, "other", ["admin"]);
    const there = problemOf(await retire("kept", "v1", { token: foreign.token }), 404, "NOT_FOUND");
    const missing = problemOf(await retire("missing", "v1", { token: foreign.token }), 404, "NOT_FOUND");
    assert.equal(there.detail.replace("kept", "missing"), missing.detail);
    assert.deepEqual(await states("kept"), ["v2 active", "v1 superseded"]);
  });

  test("retention is set on the command line, and old releases go by themselves", async () => {
    await releases("swept", 4);
    const env = { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token };
    const wrong = await runCli(["project", "set", "default/swept", "retention=5,6"], { env });
    assert.equal(wrong.code, 4, wrong.stderr);
    const set = await runCli(["project", "set", "default/swept", "retention=2,1s", "--json"], { env });
    assert.equal(set.code, 0, set.stderr);
    assert.deepEqual((JSON.parse(set.stdout) as ProjectJson).settings.retention, {
      keep_last: 2,
      keep_for: "1s",
    });
    await eventually(
      async () => ((await states("swept")).at(-2) === "v2 retired" ? true : undefined),
      30_000,
      "v1 and v2 are retired",
    );
    assert.deepEqual(await states("swept"), ["v4 active", "v3 superseded", "v2 retired", "v1 retired"]);
    const again = await runCli(["retire", "default/swept@v3", "--reason", "done"], { env });
    assert.equal(again.code, 0, again.stderr);
    assert.equal(again.stdout, "default/swept@v3 is retired\n");
    const live = await runCli(["retire", "default/swept@v4"], { env });
    assert.equal(live.code, 7, live.stderr);
  });
});

describe("a quota", () => {
  test("is set on the command line; beyond it publishes are refused before their body, until releases go", async () => {
    await releases("full", 2);
    const env = { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token };
    const set = await runCli(["project", "set", "default/full", "quota_bytes=1KiB"], { env });
    assert.equal(set.code, 0, set.stderr);
    const big = await publish(farm, "full", appArchive({ "noise.txt": randomBytes(2_000).toString("hex") }));
    problemOf(big, 403, "QUOTA_EXCEEDED");
    const lower = await runCli(["project", "set", "default/full", "quota_bytes=1"], { env });
    assert.equal(lower.code, 0, lower.stderr);
    const file = join(folder, "app.tgz");
    writeFileSync(file, appArchive({ "more.txt": "more" }));
    const refused = await runCli(["publish", file, "-p", "default/full", "--commit", "abc1234"], { env });
    assert.equal(refused.code, 12, refused.stderr);
    assert.match(refused.stderr, /quota/);
    await runCli(["project", "set", "default/full", "quota_bytes=none"], { env });
    assert.equal((await publishReady(farm, "full", appArchive({ "more.txt": "more" }))).version, "v3");
  });
});
