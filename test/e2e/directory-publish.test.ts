import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { PublishJson, ReleaseJson, UploadJson } from "../../proto/http.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { makeToken, problemOf, projectUrl, publishReady, send } from "../helpers/farm-requests.ts";
import { publishEvolvingTrees } from "../helpers/image-campaign.ts";
import { commitUpload, listFiles, missingContent, plan, putStream, sendListed } from "../helpers/listing.ts";
import { random } from "../helpers/random.ts";

const folder = tempDir("directory");
const data = join(folder, "data");
let farm: TestFarm;
before(async () => {
  farm = await startTestFarm({ data });
});
after(async () => {
  await farm.stop();
  removeDir(folder);
});

const APP = {
  "app.py": "app = 1\n",
  "karta.toml": 'entry_point = "app:app"\n',
  "lib/a.txt": "a".repeat(5_000),
  "lib/twin.txt": "a".repeat(5_000),
  "lib/empty": "",
};

test("a directory gives the same tree, image and numbers as the archive of its files", async () => {
  const archived = await publishReady(farm, "same-archive", appArchive(APP));
  const { session } = await sendListed(farm, "same-listing", listFiles(APP));
  const committed = await commitUpload(farm, "same-listing", session, { body: { commit: "abc1234" } });
  assert.equal(committed.status, 201, committed.text);
  const { release } = committed.body;
  assert.ok(release !== undefined);
  assert.equal(release.tree, archived.tree);
  assert.equal(release.image_digest, archived.image_digest);
  assert.deepEqual(release.layers, archived.layers);
  assert.equal(release.commit, "abc1234");
  assert.deepEqual(counts(release), counts(archived));
});

test("an image follows from its files alone, whatever was published before it, as archive or by listing", async (t) => {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  t.diagnostic(`GRANARY_SEED=${seed}`);
  await publishEvolvingTrees(farm, { publishes: 25, random: random(seed) });
});

function counts({ stats }: ReleaseJson): Partial<ReleaseJson["stats"]> {
  const { timings_ms: _timings, uploaded_bytes: _uploaded, ...rest } = stats;
  return rest;
}

test("a second publish sends the changed contents and nothing else, and the same files again are the same release", async () => {
  await publishReady(farm, "warm", appArchive(APP));
  const changed = listFiles({ ...APP, "app.py": "app = 2\n" });
  const planned = await plan(farm, "warm", changed.listing);
  assert.deepEqual(planned.body.missing, [[0, 1]]);
  assert.equal(planned.body.missing_bytes, 8);
  assert.equal(planned.body.current?.version, "v1");
  const { session = "" } = planned.body;
  assert.equal((await putStream(farm, "warm", session, missingContent(changed, planned.body))).status, 200);
  const committed = await commitUpload(farm, "warm", session);
  assert.equal(committed.body.release?.version, "v2", committed.text);
  assert.equal(committed.body.release?.stats.new_blobs, 1);
  assert.equal(committed.body.release?.stats.uploaded_bytes, 8);
  const again = await sendListed(farm, "warm", changed);
  assert.equal(again.existing, "v2");
  assert.equal(again.missing_bytes, 0);
  const existing = await commitUpload<PublishJson>(farm, "warm", again.session);
  assert.equal(existing.status, 200, existing.text);
  assert.equal(existing.body.release?.version, "v2");
});

test("a commit that is asked for twice is one publish", async () => {
  const { session } = await sendListed(farm, "twice", listFiles(APP));
  const [first, second] = await Promise.all([
    commitUpload(farm, "twice", session),
    commitUpload(farm, "twice", session),
  ]);
  assert.equal(first.body.publish_id, second.body.publish_id, `${first.text} ${second.text}`);
  const third = await commitUpload(farm, "twice", session);
  assert.equal(third.body.publish_id, first.body.publish_id);
  assert.equal(third.body.release?.version, "v1");
});

test("a plan that is only asked for leaves nothing", async () => {
  // Those of ended publishes go meanwhile: what counts is that none comes.
  const inbox = (): string[] => readdirSync(join(data, "store", "inbox"));
  const before = new Set(inbox());
  const planned = await plan(farm, "dry", listFiles(APP).listing, { query: "?dry_run=true" });
  assert.equal(planned.status, 200, planned.text);
  assert.equal(planned.body.session, undefined);
  assert.deepEqual(
    inbox().filter((name) => !before.has(name)),
    [],
  );
  problemOf(await send(farm, projectUrl("dry")), 404, "NOT_FOUND");
});

const LINE = `f ${"a".repeat(64)} 3`;
const HOSTILE: readonly (readonly [what: string, text: string | Buffer, code: string])[] = [
  ["nothing", "", "LISTING_INVALID"],
  ["another format", "granary-tree/2\n", "LISTING_INVALID"],
  ["no entries", "granary-tree/1\n", "ARCHIVE_EMPTY"],
  ["an unsorted listing", tree(`${LINE} b`, `${LINE} a`), "LISTING_INVALID"],
  ["a path twice", tree(`${LINE} a`, `${LINE} a`), "ARCHIVE_PATH_DUPLICATE"],
  ["a last line without its end", tree(`${LINE} a`).slice(0, -1), "LISTING_INVALID"],
  ["a blank line", `${tree(`${LINE} a`)}\n`, "LISTING_INVALID"],
  ["a digest in capitals", tree(`f ${"A".repeat(64)} 3 a`), "LISTING_INVALID"],
  ["a short digest", tree(`f ${"a".repeat(63)} 3 a`), "LISTING_INVALID"],
  ["a negative size", tree(`f ${"a".repeat(64)} -3 a`), "LISTING_INVALID"],
  ["a size with a leading zero", tree(`f ${"a".repeat(64)} 03 a`), "LISTING_INVALID"],
  ["a size as a power of ten", tree(`f ${"a".repeat(64)} 1e3 a`), "LISTING_INVALID"],
  ["a size beyond every limit", tree(`f ${"a".repeat(64)} 9007199254740991 a`), "ARCHIVE_FILE_TOO_LARGE"],
  ["one content with two sizes", tree(`${LINE} a`, `f ${"a".repeat(64)} 4 b`), "LISTING_INVALID"],
  ["a path that climbs", tree(`${LINE} ../a`), "ARCHIVE_PATH_TRAVERSAL"],
  ["an absolute path", tree(`${LINE} /a`), "ARCHIVE_PATH_ABSOLUTE"],
  ["a file below a file", tree(`${LINE} a`, `${LINE} a/b`), "ARCHIVE_PATH_CONFLICT"],
  ["a directory that is not empty", tree("d a", `${LINE} a/b`), "LISTING_INVALID"],
  ["a .git", tree(`${LINE} .git/config`, `${LINE} a`), "LISTING_INVALID"],
  ["a link that climbs", tree(`${LINE} a`, "l b\0../a"), "ARCHIVE_LINK_ESCAPES"],
  ["a link to nothing", tree(`${LINE} a`, "l b\0c"), "ARCHIVE_LINK_DANGLING"],
  ["two normal forms of a name", tree(`${LINE} e\u0301`, `${LINE} \u00e9`), "ARCHIVE_PATH_COLLISION"],
  ["a name that is no UTF-8", Buffer.from(tree(`${LINE} \xff`), "latin1"), "LISTING_INVALID"],
  ["an unknown kind of line", tree("h a"), "LISTING_INVALID"],
];

function tree(...lines: string[]): string {
  return `granary-tree/1\n${lines.map((line) => `${line}\n`).join("")}`;
}

for (const [what, text, code] of HOSTILE) {
  test(`a listing with ${what} is refused as ${code}`, async () => {
    const answer = await plan(farm, "hostile", Buffer.from(text));
    assert.equal((answer.body as unknown as { code: string }).code, code, answer.text);
  });
}

test("a listing that is no gzip, or expands without an end, is refused", async () => {
  const path = `${projectUrl("hostile")}/publishes:plan`;
  problemOf(await send(farm, path, { bytes: Buffer.from("not gzip") }), 422, "LISTING_INVALID");
  const bomb = gzipSync(Buffer.alloc(80 * 1024 * 1024, "granary-tree/1\n"), { level: 1 });
  problemOf(await send(farm, path, { bytes: bomb }), 413, "BODY_TOO_LARGE");
  problemOf(await send(farm, path, { json: {} }), 400, "USAGE");
});

test("a stream is taken up at its offset, and at no other", async () => {
  const files = listFiles({ "a.bin": randomBytes(100_000) });
  const { session = "", missing_bytes: size } = (await plan(farm, "offsets", files.listing)).body;
  const content = missingContent(files, { missing: [[0, 1]] });
  const first = await putStream(farm, "offsets", session, content.subarray(0, 40_000));
  assert.equal(first.body.offset, 40_000, first.text);
  const wrong = problemOf(
    await putStream(farm, "offsets", session, content.subarray(50_000), { offset: 50_000 }),
    409,
    "UPLOAD_OFFSET",
  );
  assert.deepEqual(wrong.params, { offset: 40_000, size });
  problemOf(await commitUpload(farm, "offsets", session), 409, "UPLOAD_OFFSET");
  const url = `${projectUrl("offsets")}/uploads/${session}`;
  assert.equal((await send<UploadJson>(farm, url)).body.offset, 40_000);
  assert.equal((await send(farm, url, { method: "HEAD" })).headers.get("upload-offset"), "40000");
  problemOf(
    await putStream(
      farm,
      "offsets",
      session,
      Buffer.concat([content.subarray(40_000), Buffer.from("more")]),
      {
        offset: 40_000,
      },
    ),
    413,
    "BODY_TOO_LARGE",
  );
  const rest = await putStream(farm, "offsets", session, content.subarray(40_000), { offset: 40_000 });
  assert.equal(rest.body.offset, size);
  assert.equal((await commitUpload(farm, "offsets", session)).status, 201);
  assert.equal((await commitUpload(farm, "offsets", session)).status, 200);
});

test("content that is not what was listed fails the publish and names the file", async () => {
  const files = listFiles({ "a.txt": "right", "b.txt": "also right" });
  const { session = "" } = (await plan(farm, "liar", files.listing)).body;
  await putStream(farm, "liar", session, Buffer.from("rightalso wrong"));
  const problem = problemOf(await commitUpload(farm, "liar", session), 400, "DIGEST_INVALID");
  assert.equal(problem.params["path"], "b.txt");
});

test("another org can neither use a session nor learn from a plan what is stored", async () => {
  const secret = { "secret.txt": "only acme has this\n".repeat(100) };
  await send(farm, "/v1/orgs/acme/tokens", { json: { scopes: ["write"] } });
  const acme = await makeToken(farm, "acme", ["write"]);
  const rival = await makeToken(farm, "rival", ["write"]);
  await publishReady(farm, "app", appArchive(secret), { org: "acme", token: acme.token });
  const files = listFiles(secret);
  const theirs = await plan(farm, "app", files.listing, { org: "rival", token: rival.token });
  assert.equal(theirs.body.missing_blobs, 1, "what only acme has is asked for");
  const sibling = await plan(farm, "other", files.listing, { org: "acme", token: acme.token });
  assert.equal(sibling.body.missing_blobs, 1, "what only another project has is asked for");
  const own = await plan(farm, "app", files.listing, { org: "acme", token: acme.token });
  assert.equal(own.body.missing_blobs, 0);

  const { session = "" } = own.body;
  for (const where of [
    { org: "rival", token: rival.token },
    { org: "acme", token: rival.token },
  ]) {
    const status = await putStream(farm, "app", session, Buffer.from("x"), where);
    assert.equal(status.status, 404, status.text);
    assert.equal((await commitUpload(farm, "app", session, where)).status, 404);
  }
  const wrongProject = await commitUpload(farm, "other", session, { org: "acme", token: acme.token });
  problemOf(wrongProject, 404, "SESSION_UNKNOWN");
  const [committed, ...others] = await Promise.all([
    commitUpload(farm, "app", session, { org: "acme", token: acme.token }),
    ...Array.from({ length: 8 }, () =>
      commitUpload(farm, "app", session, { org: "rival", token: rival.token }),
    ),
  ]);
  assert.equal(committed.status, 201, committed.text);
  for (const other of others) problemOf(other, 404, "SESSION_UNKNOWN");
  const reader = await makeToken(farm, "acme", ["read"]);
  problemOf(await plan(farm, "app", files.listing, { org: "acme", token: reader.token }), 403, "FORBIDDEN");
});

test("an archive and a directory with the same content under one key are told apart, the same directory is not", async () => {
  const key = { headers: { "idempotency-key": "k1" } };
  const first = await sendListed(farm, "keys", listFiles(APP));
  const committed = await commitUpload(farm, "keys", first.session, key);
  const second = await sendListed(farm, "keys", listFiles(APP));
  const again = await commitUpload(farm, "keys", second.session, key);
  assert.equal(again.body.publish_id, committed.body.publish_id);
  const third = await sendListed(farm, "keys", listFiles({ ...APP, "app.py": "other" }));
  problemOf(await commitUpload(farm, "keys", third.session, key), 422, "IDEMPOTENCY_KEY_REUSED");
});

test("a session and what was sent for it survive kill -9 of the farm", async () => {
  const files = listFiles({ "a.bin": randomBytes(3_000_000) });
  const content = missingContent(files, { missing: [[0, 1]] });
  const { session = "" } = (await plan(farm, "killed", files.listing)).body;
  assert.equal((await putStream(farm, "killed", session, content.subarray(0, 2_000_000))).status, 200);
  await farm.kill();
  farm = await startTestFarm({ data });
  const { offset } = (await send<UploadJson>(farm, `${projectUrl("killed")}/uploads/${session}`)).body;
  assert.equal(offset, 2_000_000);
  assert.equal((await putStream(farm, "killed", session, content.subarray(offset), { offset })).status, 200);
  assert.equal((await commitUpload(farm, "killed", session)).status, 201);
});
