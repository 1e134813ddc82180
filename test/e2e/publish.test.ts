import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { digestOf } from "../../proto/digest.ts";
import type { CloudEvent } from "../../proto/events.ts";
import type { CurrentJson, DiffJson, FileJson, Page, PublishJson, ReleaseJson } from "../../proto/http.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { eventually, removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import {
  ended,
  problemOf,
  projectUrl,
  publish,
  publishReady,
  type StoreStat,
  send,
  storeStat,
} from "../helpers/farm-requests.ts";
import { noise } from "../helpers/hostile-sizes.ts";
import { type RawAnswer, rawRequest } from "../helpers/raw-http.ts";

const folder = tempDir("publish");
let farm: TestFarm;

before(async () => {
  farm = await startTestFarm({ data: join(folder, "data") });
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

function current(project: string): Promise<CurrentJson> {
  return farm.json<CurrentJson>(`${projectUrl(project)}/current`);
}

describe("publishing over HTTP", () => {
  test("a publish is answered 202 with its Location, and is live when it has ended", async () => {
    const accepted = await publish(farm, "first", appArchive({ "app.py": "1" }), {
      query: { commit: "a".repeat(40), source: "https://git.example/acme", dirty: "true" },
    });
    assert.equal(accepted.status, 202, accepted.text);
    assert.equal(accepted.headers.get("location"), `/v1/publishes/${accepted.body.publish_id}`);
    assert.equal(accepted.body.version, undefined, "a publish in flight has no version");
    const end = await ended(farm, accepted.body.publish_id);
    assert.equal(end.state, "ready");
    assert.equal(end.release?.version, "v1");
    assert.equal(end.release?.activated, true);
    assert.equal(end.release?.source, "https://git.example/acme");
    assert.equal(end.release?.dirty, true);
    assert.equal((await current("first")).version, "v1");
  });

  test("with `Prefer: wait` a publish is answered 201 with its release", async () => {
    const answer = await publish(farm, "waited", appArchive({ a: "1" }), { waitSeconds: 30 });
    assert.equal(answer.status, 201, answer.text);
    assert.equal(answer.body.release?.version, "v1");
    assert.equal(answer.body.existing, undefined);
  });

  test("the same bytes for the same commit are answered 200 with the existing release, and the pointer stays", async () => {
    const archive = appArchive({ a: "same" });
    const query = { commit: "b".repeat(40) };
    await publishReady(farm, "same", archive, { query });
    await publishReady(farm, "same", appArchive({ a: "other" }), { query: { commit: "c".repeat(40) } });
    const pointer = await current("same");
    const again = await publish(farm, "same", archive, { query });
    assert.equal(again.status, 200, again.text);
    assert.equal(again.body.existing, true);
    const { version, existing, activated, not_activated_reason: why, hint } = again.body.release ?? {};
    assert.deepEqual([version, existing, activated, why], ["v1", true, false, "existing"]);
    assert.equal(hint, "`granary activate default/same@v1` lets it go live.");
    assert.deepEqual(await current("same"), pointer, "neither version nor generation moved");
  });

  test("an announced digest that the project has published is answered before the body; other projects do not know it", async () => {
    const archive = appArchive({ a: "announced" });
    const commit = "2".repeat(40);
    const first = await publishReady(farm, "announced", archive, { query: { commit } });
    await publishReady(farm, "elsewhere", appArchive({ a: "first" }), { query: { commit } });
    const answered = await announce("announced", archive, commit);
    assert.equal(answered.status, 200, answered.body);
    assert.match(answered.head, /^connection: close$/im);
    const { existing, release } = JSON.parse(answered.body) as PublishJson;
    assert.deepEqual([existing, release?.version], [true, first.version]);
    for (const [project, asked] of [
      ["elsewhere", commit],
      ["announced", "3".repeat(40)],
    ] as const)
      assert.equal((await announce(project, archive, asked)).status, 100, "the body is wanted");
    await inboxEmpties();
  });

  /** What ended publishes leave goes a moment later. */
  async function inboxEmpties(): Promise<void> {
    const isEmpty = async () => ((await storeStat(farm)).inbox_bytes === 0 ? true : undefined);
    await eventually(isEmpty, 30_000, "the inbox is empty");
  }

  /** Sends the head of a publish with its Content-Digest, and nothing of its body. */
  function announce(project: string, archive: Uint8Array, commit: string): Promise<RawAnswer> {
    const digest = createHash("sha256").update(archive).digest("base64");
    const lines = [
      `POST ${projectUrl(project)}/publishes?commit=${commit} HTTP/1.1`,
      "host: farm",
      `authorization: Bearer ${farm.token}`,
      "content-type: application/gzip",
      `content-length: ${archive.byteLength}`,
      `content-digest: sha-256=:${digest}:`,
      "expect: 100-continue",
    ];
    return rawRequest(farm.url, `${lines.join("\r\n")}\r\n\r\n`, { isInterimEnough: true });
  }

  test("the same files in another archive of the same commit end as the existing release", async () => {
    const query = { commit: "1".repeat(40) };
    const first = await publishReady(farm, "repacked", appArchive({ a: "1", b: "2" }), { query });
    const second = await publish(farm, "repacked", appArchive({ b: "2", a: "1" }), {
      query,
      waitSeconds: 30,
    });
    assert.equal(second.body.release?.version, first.version, second.text);
    assert.equal(second.body.existing, true);
  });

  test("the same files for another commit are a new release of the same image", async () => {
    const archive = appArchive({ a: "shared" });
    const one = await publishReady(farm, "commits", archive, { query: { commit: "d".repeat(40) } });
    const two = await publishReady(farm, "commits", archive, { query: { commit: "e".repeat(40) } });
    assert.deepEqual([one.version, two.version], ["v1", "v2"]);
    assert.equal(two.image_digest, one.image_digest);
    assert.equal(two.stats.new_blobs, 0);
    assert.equal(two.stats.new_layers, 0);
    assert.equal(two.stats.reused_layers, 1);
  });

  test("force_new makes a new release of what is released already", async () => {
    const archive = appArchive({ a: "forced" });
    const query = { commit: "f".repeat(40) };
    await publishReady(farm, "forced", archive, { query });
    const forced = await publishReady(farm, "forced", archive, { query: { ...query, force_new: "true" } });
    assert.equal(forced.version, "v2");
  });

  test("an Idempotency-Key binds one content: again the same publish, other content 422", async () => {
    const headers = { "idempotency-key": "ci-run-1" };
    const first = await publish(farm, "keyed", appArchive({ a: "1" }), { headers, waitSeconds: 30 });
    const again = await publish(farm, "keyed", appArchive({ a: "1" }), { headers });
    assert.equal(again.status, 200, again.text);
    assert.equal(again.body.publish_id, first.body.publish_id);
    const other = await publish(farm, "keyed", appArchive({ a: "2" }), { headers });
    const problem = problemOf(other, 422, "IDEMPOTENCY_KEY_REUSED");
    assert.match(problem.detail, new RegExp(first.body.publish_id));
    await inboxEmpties();
  });

  test("a failed publish is never the answer, not even to its Idempotency-Key", async () => {
    const headers = { "idempotency-key": "fails" };
    const bad = appArchive({ "karta.toml": "entry_point = 5\n", a: "1" });
    const one = await publish(farm, "failing", bad, { headers, query: { commit: "1234567" } });
    assert.equal((await ended(farm, one.body.publish_id)).state, "failed");
    const two = await publish(farm, "failing", bad, { headers, query: { commit: "1234567" } });
    assert.notEqual(two.body.publish_id, one.body.publish_id);
    assert.equal((await ended(farm, two.body.publish_id)).state, "failed");
  });

  test("fifty identical publishes at once become one release, whoever comes first", async () => {
    const archive = appArchive({ a: "joined", noise: noise(200_000).toString("latin1") });
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => publish(farm, "joined", archive, { query: { commit: "abcdef1" } })),
    );
    assert.deepEqual([...new Set(answers.map((answer) => answer.body.publish_id))].length, 1);
    assert.ok(answers.every(({ status }) => status === 202 || status === 200));
    await ended(farm, answers[0]?.body.publish_id ?? "");
    const releases = await farm.json<Page<ReleaseJson>>(`${projectUrl("joined")}/releases`);
    assert.deepEqual(
      releases.items.map((release) => release.version),
      ["v1"],
    );
    await inboxEmpties();
  });

  test("a change of one file in a hundred stores that file and what names it, nothing else", async (t) => {
    const files = Object.fromEntries(
      Array.from({ length: 100 }, (_, i) => [`src/file-${i}.txt`, `${i}: ${"content ".repeat(500)}`]),
    );
    await publishReady(farm, "delta", appArchive(files));
    const before = await storeStat(farm);
    const changed = "changed ".repeat(500);
    const release = await publishReady(farm, "delta", appArchive({ ...files, "src/file-50.txt": changed }));
    const after = await storeStat(farm);
    const { stats } = release;
    assert.deepEqual(
      [stats.new_blobs, stats.reused_blobs, stats.new_blob_bytes],
      [1, 99, Buffer.byteLength(changed)],
    );
    const grown = (key: keyof StoreStat): number => after[key] - before[key];
    // The file, the listing, image config, image manifest, and the log.
    assert.equal(grown("blobs"), 5);
    assert.equal(grown("layers"), 1, "a layer is a row: its bytes are computed");
    assert.ok(grown("packed_bytes") < 4_000 + 15_000, `${grown("packed_bytes")} bytes were added`);
    t.diagnostic(
      `${release.size_bytes} bytes published, ${grown("packed_bytes")} added to the store, 1 of 100 files new`,
    );
  });

  test("a dependency folder is a layer of its own, which a change of the code uses again", async () => {
    const files = { "node_modules/left-pad/index.js": "x", "server.js": "1" };
    const one = await publishReady(farm, "deps", appArchive(files));
    const two = await publishReady(farm, "deps", appArchive({ ...files, "server.js": "2" }));
    assert.equal(one.layers.length, 2);
    assert.deepEqual([two.stats.new_layers, two.stats.reused_layers], [1, 1]);
    assert.equal(two.layers[0]?.digest, one.layers[0]?.digest);
  });

  test("an older publish that finishes late becomes ready but never goes live", async () => {
    // Two threads: the tiny one passes the large one, which was accepted before it.
    const large = appArchive({ "large.bin": slowToRead("late") });
    const slow = await publish(farm, "overtaken", large, { query: { commit: "0000001" } });
    const fast = await publish(farm, "overtaken", appArchive({ a: "1" }), { query: { commit: "0000002" } });
    assert.deepEqual([slow.status, fast.status], [202, 202], `${slow.text} ${fast.text}`);
    const [late, early] = await Promise.all([
      ended(farm, slow.body.publish_id),
      ended(farm, fast.body.publish_id),
    ]);
    assert.ok(late.order < early.order, "the large one was accepted first");
    assert.deepEqual([early.version, late.version], ["v1", "v2"], "and finished last");
    assert.equal(late.release?.not_activated_reason, "older");
    assert.equal(late.release?.state, "ready");
    assert.equal((await current("overtaken")).version, "v1");
    const types = (await farm.json<Page<CloudEvent>>("/v1/events?project=overtaken&limit=50")).items.map(
      (event) => event.type,
    );
    assert.equal(types.filter((type) => type.includes("release.activated")).length, 1);
  });

  test("cancelled publishes free their threads at once and leave nothing behind", async (t) => {
    const before = await storeStat(farm);
    const ids = await Promise.all(
      Array.from({ length: 3 }, async (_, i) => {
        const large = appArchive({ "large.bin": slowToRead(`cancel ${i}`) });
        return (await publish(farm, "cancelled", large, { query: { commit: `000000${i}` } })).body.publish_id;
      }),
    );
    const began = performance.now();
    for (const id of ids) {
      const answer = await send<PublishJson>(farm, `/v1/publishes/${id}:cancel`, {
        json: { reason: "mistake" },
      });
      assert.deepEqual([answer.status, answer.body.state], [200, "cancelled"], answer.text);
    }
    await publishReady(farm, "uncancelled", appArchive({ a: "next" }));
    const ms = Math.round(performance.now() - began);
    t.diagnostic(`three were cancelled and the next was ready after ${ms} ms`);
    assert.ok(ms < 3_000, `${ms} ms`);
    for (const id of ids) {
      problemOf(await send(farm, `/v1/publishes/${id}:cancel`, { json: {} }), 409, "STATE_CONFLICT");
      assert.match((await ended(farm, id)).error?.detail ?? "", /mistake/);
    }
    await inboxEmpties();
    assert.equal((await storeStat(farm)).big_files, before.big_files);
    const { items } = await farm.json<Page<ReleaseJson>>(`${projectUrl("cancelled")}/releases`);
    assert.deepEqual(items, [], "a cancelled publish has no version");
  });

  test("a Content-Digest that does not fit is refused, and nothing of the upload stays", async () => {
    const archive = appArchive({ a: "digest" });
    const digest = (bytes: Uint8Array): string =>
      `sha-256=:${createHash("sha256").update(bytes).digest("base64")}:`;
    const wrong = await publish(farm, "digests", archive, {
      headers: { "content-digest": digest(Buffer.from("something else")) },
    });
    const problem = problemOf(wrong, 400, "DIGEST_INVALID");
    assert.ok(problem.detail.includes(digestOf(archive)), problem.detail);
    await inboxEmpties();
    problemOf(
      await publish(farm, "digests", archive, { headers: { "content-digest": "md5=:x:" } }),
      400,
      "USAGE",
    );
    problemOf(await send(farm, projectUrl("digests")), 404, "NOT_FOUND");
    await publishReady(farm, "digests", archive, { headers: { "content-digest": digest(archive) } });
  });

  test("files, diffs, releases and publishes are listed page by page without gap or double", async () => {
    const names = Array.from({ length: 25 }, (_, i) => `d/${String.fromCharCode(97 + i)}.txt`);
    await publishReady(farm, "pages", appArchive(Object.fromEntries(names.map((name) => [name, name]))));
    const paths: string[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const query: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
      const page: Page<FileJson> = await farm.json(
        `${projectUrl("pages")}/releases/v1/files?limit=7${query}`,
      );
      paths.push(...page.items.map((file) => file.path));
      cursor = page.next_cursor;
    }
    assert.deepEqual(paths, names);
    const other = names.map((name) => name.replace("d/", "e/"));
    await publishReady(farm, "pages", appArchive(Object.fromEntries(other.map((name) => [name, name]))));
    const changes: string[] = [];
    const asked = `${projectUrl("pages")}/diff?from=v1&to=v2&limit=7`;
    cursor = "";
    while (cursor !== null) {
      const page: DiffJson = await farm.json(cursor === "" ? asked : `${asked}&cursor=${cursor}`);
      assert.deepEqual([page.counts.removed, page.counts.added], [25, 25], "counts are those of the whole");
      assert.equal(page.truncated, page.next_cursor !== null);
      changes.push(...page.items.map(({ change, path }) => `${change} ${path}`));
      cursor = page.next_cursor;
    }
    assert.deepEqual(changes, [
      ...names.map((name) => `removed ${name}`),
      ...other.map((name) => `added ${name}`),
    ]);
    const first = await farm.json<Page<FileJson>>(`${projectUrl("pages")}/releases/v1/files?limit=1`);
    for (const [route, bad] of [
      ["releases/v2/files?", first.next_cursor],
      ["diff?from=v1&to=v2&", first.next_cursor],
      ["releases/v1/files?", "d/a.txt"],
      ["releases/v1/files?", ""],
      ["releases/v1/files?", `${"0".repeat(16)}.${"A".repeat(3_000)}`],
    ]) {
      const answer = await send(farm, `${projectUrl("pages")}/${route}cursor=${bad}`);
      assert.equal(problemOf(answer, 400, "USAGE").errors?.[0]?.pointer, "?cursor", `${route}${bad}`);
    }
    const publishes = await farm.json<Page<PublishJson>>(`${projectUrl("commits")}/publishes?limit=1`);
    assert.equal(publishes.items[0]?.version, "v2", "newest first");
    const rest = await farm.json<Page<PublishJson>>(
      `${projectUrl("commits")}/publishes?limit=1&cursor=${publishes.next_cursor}`,
    );
    assert.equal(rest.items[0]?.version, "v1");
    assert.equal(rest.next_cursor, null);
  });
});

/** 100 MB that take seconds to read and are sent in one. */
function slowToRead(seed: string): string {
  return Array.from(
    { length: 1600 },
    (_, i) => `${noise(400).toString("hex")}${seed}${" ".repeat(65_000)}${i}`,
  ).join("");
}

interface Detection {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly expected: Partial<ReleaseJson>;
  readonly warning?: RegExp;
}

const DETECTIONS: readonly Detection[] = [
  {
    name: "no karta.toml and no Dockerfile",
    files: { "app.py": "" },
    expected: { build_kind: "file_copy", execution: "file_copy" },
  },
  {
    name: "a Dockerfile at the root",
    files: { Dockerfile: "FROM scratch\n", "karta.toml": 'buildpack = "python"\n' },
    expected: { build_kind: "dockerfile", requested_kind: "dockerfile", execution: "file_copy" },
    warning: /image builds/i,
  },
  {
    name: "a Dockerfile one level down",
    files: { "app/Dockerfile": "FROM scratch\n", "app/a": "" },
    expected: { build_kind: "file_copy", execution: "file_copy" },
    warning: /"app\/".*"Dockerfile".*--strip 1/,
  },
  {
    name: "a buildpack",
    files: { "karta.toml": 'entry_point = "main:app"\nbuildpack = "python"\n', "main.py": "" },
    expected: {
      build_kind: "buildpack",
      requested_kind: "buildpack",
      execution: "file_copy",
      entry_point: "main:app",
    },
    warning: /image builds/i,
  },
  {
    name: "a karta.toml with unknown keys",
    files: { "karta.toml": 'entry_point = "main:app"\nfuture = 1\n', "main.py": "" },
    expected: { build_kind: "file_copy", execution: "file_copy" },
    warning: /future/,
  },
];

describe("the kind of build", () => {
  for (const [i, { name, files, expected, warning }] of DETECTIONS.entries()) {
    test(`${name}: the release says what was asked for, what was done, and why`, async () => {
      const release = await publishReady(farm, `detect-${i}`, appArchive(files));
      for (const [key, value] of Object.entries(expected))
        assert.equal(release[key as keyof ReleaseJson], value, `${key} of ${JSON.stringify(release)}`);
      assert.ok(release.build_reason.length > 0);
      if (warning === undefined) assert.deepEqual(release.warnings, []);
      else assert.match(release.warnings.join("\n"), warning);
    });
  }
});
