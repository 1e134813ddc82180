import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { PublishJson } from "../../proto/http.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { publishReady } from "../helpers/farm-requests.ts";
import { commitUpload, listFiles, missingContent, plan, putStream, sendListed } from "../helpers/listing.ts";

const folder = tempDir("directory");
let farm: TestFarm;
before(async () => {
  farm = await startTestFarm({ data: join(folder, "data") });
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

test("a directory gives the same tree and image as the archive of its files", async () => {
  const archived = await publishReady(farm, "same-archive", appArchive(APP));
  const { session } = await sendListed(farm, "same-listing", listFiles(APP));
  const committed = await commitUpload(farm, "same-listing", session, { body: { commit: "abc1234" } });
  assert.equal(committed.status, 201, committed.text);
  const { release } = committed.body;
  assert.ok(release !== undefined);
  assert.equal(release.tree, archived.tree);
  assert.equal(release.image_digest, archived.image_digest);
  assert.equal(release.commit, "abc1234");
  const { timings_ms: _a, uploaded_bytes: _b, ...stats } = release.stats;
  const { timings_ms: _c, uploaded_bytes: _d, ...archivedStats } = archived.stats;
  assert.deepEqual(stats, archivedStats);
});

test("a second publish sends the changed contents and nothing else", async () => {
  await publishReady(farm, "warm", appArchive(APP));
  const changed = listFiles({ ...APP, "app.py": "app = 2\n" });
  const planned = await plan(farm, "warm", changed.listing);
  assert.deepEqual(planned.body.missing, [[0, 1]]);
  assert.equal(planned.body.missing_bytes, 8);
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
