import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { type Digest, digestOf } from "../../proto/digest.ts";
import { ARCHIVE_LIMITS } from "../../proto/limits.ts";
import { parseName } from "../../proto/names.ts";
import { encodeSessionHead } from "../../proto/upload-session.ts";
import type { ExtractResult, PlanResult } from "../../proto/worker-tasks.ts";
import { assembleUpload } from "../../workers/assemble-upload.ts";
import { planUpload } from "../../workers/plan-upload.ts";
import { TreeMemory } from "../../workers/tree-memory.ts";
import { type Files, type ListedFiles, listFiles, missingContent } from "../helpers/listing.ts";
import { findInPacks, flipBit } from "../helpers/store-disk.ts";
import { openStoreFixture, type StoreFixture, taskCell } from "../helpers/store-fixture.ts";
import { collect } from "../helpers/store-trees.ts";
import { tempFolder } from "../helpers/temp-folder.ts";
import { waitUntil } from "../helpers/wait-until.ts";

/** One thread of a farm, and what it remembers from publish to publish. */
class Thread {
  readonly fixture: StoreFixture;
  readonly memory = new TreeMemory();
  #published: Digest[] = [];
  #sessions = 0;

  constructor(fixture: StoreFixture) {
    this.fixture = fixture;
  }

  plan(files: ListedFiles): PlanResult {
    const listing = gzipSync(files.listing);
    const task = {
      listing,
      limits: ARCHIVE_LIMITS,
      portableNames: false,
      baseTrees: this.#published,
      cell: taskCell(),
    };
    return planUpload(task, this.fixture.thread, this.memory);
  }

  assemble(
    files: ListedFiles,
    { planned, memory = this.memory }: { planned: PlanResult; memory?: TreeMemory },
  ): ExtractResult {
    this.#sessions += 1;
    const sessionPath = join(this.fixture.dir, `session-${this.#sessions}`);
    const streamPath = `${sessionPath}.stream`;
    const { tree, missing, missingBlobs, missingBytes, stats, warnings } = planned;
    const session = {
      v: 1,
      org: parseName("acme", "org"),
      project: parseName("bot", "project"),
      tree,
      missing_blobs: missingBlobs,
      missing_bytes: missingBytes,
      expires_at: new Date().toISOString(),
      stats,
      warnings,
    } as const;
    writeFileSync(sessionPath, Buffer.concat([encodeSessionHead(session, missing), planned.listing]));
    writeFileSync(streamPath, missingContent(files, planned));
    const log = { attempt: 1, lines: [], port: { postMessage: () => undefined } };
    const about = {
      sessionPath,
      streamPath,
      uploadBytes: missingBytes,
      imageBuilds: false,
      log,
      cell: taskCell(),
    };
    return assembleUpload(
      { ...about, baseTrees: this.#published, baseLayers: [] },
      this.fixture.thread,
      memory,
    );
  }

  async publish(files: Files): Promise<ExtractResult> {
    const listed = listFiles(files);
    const planned = this.plan(listed);
    await this.fixture.store.commit(planned.relied);
    const made = this.assemble(listed, { planned });
    await this.fixture.store.commit(made.commit);
    this.#published = [made.artifact.tree, ...this.#published].slice(0, 4);
    return made;
  }
}

function tableOf(round: number): Files {
  return Object.fromEntries(
    Array.from({ length: 40 }, (_, i) => [
      `d${i % 5}/f${i}`,
      `content ${i} ${i % 8 === round % 8 ? round : ""}\n`,
    ]),
  );
}

test("a publish that meets what its thread remembers makes the image that a fresh thread makes", async () => {
  const fixture = await openStoreFixture(tempFolder());
  const thread = new Thread(fixture);
  for (let round = 0; round < 12; round++) {
    const files = listFiles(round === 7 ? { ...tableOf(round), "d9/new": "x", a: "first" } : tableOf(round));
    const planned = thread.plan(files);
    const alone = planUpload(
      {
        listing: gzipSync(files.listing),
        limits: ARCHIVE_LIMITS,
        portableNames: false,
        baseTrees: [],
        cell: taskCell(),
      },
      fixture.thread,
      new TreeMemory(),
    );
    assert.deepEqual([planned.tree, planned.warnings], [alone.tree, alone.warnings]);
    const fresh = thread.assemble(files, { planned, memory: new TreeMemory() });
    const { artifact } = await thread.publish(
      round === 7 ? { ...tableOf(round), "d9/new": "x", a: "first" } : tableOf(round),
    );
    assert.deepEqual({ ...artifact, stats: 0 }, { ...fresh.artifact, stats: 0 }, `round ${round}`);
  }
  await fixture.close();
});

test("what was found in one epoch is relied on in the next publish without a look, and all of it is named to the committer", async () => {
  const fixture = await openStoreFixture(tempFolder());
  const thread = new Thread(fixture);
  await thread.publish(tableOf(0));
  await thread.publish(tableOf(1));
  const listed = listFiles(tableOf(1));
  const { missing, relied } = thread.plan(listed);
  assert.deepEqual(missing, []);
  const named = new Set<string>();
  for (let at = 0; at < relied.references.byteLength; at += 32)
    named.add(Buffer.from(relied.references.subarray(at, at + 32)).toString("hex"));
  for (const blob of listed.blobs) assert.ok(named.has(digestOf(blob).slice(7)));
  await fixture.close();
});

test("content that is found damaged between two publishes is asked for by the second", async () => {
  const fixture = await openStoreFixture(tempFolder());
  const thread = new Thread(fixture);
  await thread.publish(tableOf(0));
  await thread.publish(tableOf(0));
  const victim = Buffer.from("content 7 \n");
  const { path, offset } = findInPacks(fixture.dir, victim);
  flipBit(path, offset + 3);
  await assert.rejects(fixture.store.read(digestOf(victim)), { code: "STORE_CORRUPT" });
  await waitUntil(
    "the finding is committed",
    10_000,
    () => fixture.store.stat(digestOf(victim)) === undefined,
  );
  const listed = listFiles(tableOf(0));
  const planned = thread.plan(listed);
  assert.deepEqual(missingContent(listed, planned), victim);
  await thread.publish(tableOf(0));
  assert.deepEqual(await fixture.store.read(digestOf(victim)), victim);
  await fixture.close();
});

test("content that was collected between two publishes is asked for by the second", async () => {
  const fixture = await openStoreFixture(tempFolder());
  const thread = new Thread(fixture);
  const first = await thread.publish(tableOf(0));
  await thread.publish(tableOf(0));
  await collect(fixture, []);
  assert.equal(fixture.store.stat(first.artifact.tree), undefined);
  const listed = listFiles(tableOf(0));
  assert.equal(thread.plan(listed).missingBlobs, 40);
  assert.equal((await thread.publish(tableOf(0))).artifact.image_digest, first.artifact.image_digest);
  await fixture.close();
});

test("content of a publish that was never committed is not called present", async () => {
  const fixture = await openStoreFixture(tempFolder());
  const thread = new Thread(fixture);
  await thread.publish(tableOf(0));
  const listed = listFiles(tableOf(1));
  const planned = thread.plan(listed);
  const lost = thread.assemble(listed, { planned });
  await fixture.store.discard(lost.commit);
  assert.equal(thread.plan(listed).missingBlobs, planned.missingBlobs);
  const again = await thread.publish(tableOf(1));
  assert.equal(again.artifact.image_digest, lost.artifact.image_digest);
  await fixture.close();
});

test("a plan that relied on content which was condemned meanwhile has it revived", async () => {
  const fixture = await openStoreFixture(tempFolder());
  const thread = new Thread(fixture);
  await thread.publish(tableOf(0));
  await thread.publish(tableOf(0));
  const planned = thread.plan(listFiles(tableOf(0)));
  await collect(fixture, [], { graceMs: 60_000 });
  await fixture.store.commit(planned.relied);
  for (const blob of listFiles(tableOf(0)).blobs)
    assert.deepEqual(await fixture.store.read(digestOf(blob)), blob);
  await fixture.close();
});
