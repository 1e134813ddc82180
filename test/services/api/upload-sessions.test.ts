import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { LIMITS } from "../../../proto/limits.ts";
import type { Name } from "../../../proto/names.ts";
import type { PublishRecord } from "../../../proto/records.ts";
import { type FoundSession, UploadSessions } from "../../../services/api/upload-sessions.ts";
import { reconcileInbox } from "../../../services/node/reconcile-inbox.ts";
import { listFiles } from "../../helpers/listing.ts";
import { storeFiles } from "../../helpers/store-disk.ts";
import { openStoreFixture, type StoreFixture } from "../../helpers/store-fixture.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";

const ACME = "acme" as Name;
const BOT = "bot" as Name;
const HERE = { org: ACME, project: BOT };
const CONTENT = randomBytes(5_000);
const HOUR_MS = 3_600_000;

interface Bench {
  readonly fixture: StoreFixture;
  readonly sessions: UploadSessions;
  /** Milliseconds since the test began. */
  clock(ms?: number): number;
  /** What the node does every ten minutes; `publish` answers for every publish id. */
  reconcile(publish?: Partial<PublishRecord>): Promise<void>;
}

async function withSessions(work: (bench: Bench) => Promise<void>): Promise<void> {
  const startMs = Date.now();
  let passedMs = 0;
  const now = (): number => startMs + passedMs;
  const fixture = await openStoreFixture(tempFolder(), { now });
  try {
    await work({
      fixture,
      sessions: new UploadSessions({ store: fixture.store, now }),
      clock: (ms) => (passedMs = ms ?? passedMs),
      reconcile: (publish) =>
        reconcileInbox({
          store: fixture.store,
          now,
          read: (body) => body({ get: () => publish } as unknown as Parameters<typeof body>[0]),
        }),
    });
  } finally {
    await fixture.close();
  }
}

async function create(sessions: UploadSessions): Promise<FoundSession> {
  const { entries, listing } = listFiles({ "a.bin": CONTENT });
  const [file] = entries;
  assert.ok(file?.type === "file");
  return sessions.create(
    {
      ...HERE,
      tree: file.digest,
      missing_blobs: 1,
      missing_bytes: CONTENT.byteLength,
      stats: { new_blobs: 1, new_blob_bytes: 5_000, reused_blobs: 0, reused_blob_bytes: 0 },
      warnings: [],
    },
    { missing: [[0, 1]], listing },
  );
}

async function receive(sessions: UploadSessions, found: FoundSession, bytes: Uint8Array): Promise<void> {
  const stream = await sessions.openStream(found);
  await stream.write(bytes);
  await stream.pause();
}

function fileCount({ dir }: StoreFixture): number {
  return [...storeFiles(dir).keys()].filter((name) => name.startsWith("inbox/")).length;
}

test("a session whose file is damaged is as good as none, and keeps no farm from starting", () =>
  withSessions(async ({ fixture: { store }, sessions, clock }) => {
    const { id } = await create(sessions);
    const file = store.uploadPath(id);
    const bytes = readFileSync(file);
    bytes[0] = 0x5b;
    writeFileSync(file, bytes);
    const again = new UploadSessions({ store, now: () => clock() });
    assert.throws(() => again.find(id, HERE), { code: "SESSION_UNKNOWN" });
  }));

test("a session is known by its id to its project, and to nobody else", () =>
  withSessions(async ({ sessions }) => {
    const found = await create(sessions);
    assert.match(found.id, /^upl_[0-9a-z]{26}$/);
    assert.deepEqual(sessions.find(found.id, HERE), found);
    for (const [id, where] of [
      [found.id, { org: "rival" as Name, project: BOT }],
      [found.id, { org: ACME, project: "other" as Name }],
      [found.publishId, HERE],
      ["upl_00000000000000000000000000", HERE],
      ["../../format", HERE],
    ] as const)
      assert.throws(() => sessions.find(id, where), { code: "SESSION_UNKNOWN" });
  }));

test("a session goes on behind what has arrived, also in a later process", async () => {
  const first = await openStoreFixture(tempFolder());
  const sessions = new UploadSessions({ store: first.store, now: Date.now });
  const found = await create(sessions);
  assert.equal(sessions.offset(found), 0);
  await receive(sessions, found, CONTENT.subarray(0, 2_000));
  assert.equal(sessions.offset(found), 2_000);
  await first.close();
  const later = await openStoreFixture(first.dir);
  const again = new UploadSessions({ store: later.store, now: Date.now });
  const known = again.find(found.id, HERE);
  assert.equal(again.offset(known), 2_000);
  await assert.rejects(again.seal(known), { code: "UPLOAD_OFFSET" });
  await receive(again, known, CONTENT.subarray(2_000));
  await again.seal(known);
  assert.equal(again.offset(known), 5_000);
  await again.seal(known);
  await later.close();
});

test("a session that was not committed in 24 hours is unknown, and goes with what was sent for it", () =>
  withSessions(async ({ fixture, sessions, clock, reconcile }) => {
    const found = await create(sessions);
    await receive(sessions, found, CONTENT.subarray(0, 2_000));
    clock(LIMITS.uploadSessionMs - 1);
    await reconcile();
    assert.equal(fileCount(fixture), 2);
    assert.ok(sessions.find(found.id, HERE));
    clock(LIMITS.uploadSessionMs);
    assert.throws(() => sessions.find(found.id, HERE), { code: "SESSION_UNKNOWN" });
    await reconcile();
    assert.equal(fileCount(fixture), 0);
  }));

test("sessions that were left behind make room for new ones, those that are used or committed do not", () =>
  withSessions(async ({ fixture, clock }) => {
    const now = (): number => Date.now() + clock();
    const sessions = new UploadSessions({ store: fixture.store, now, limit: 4 });
    const committed = await create(sessions);
    await receive(sessions, committed, CONTENT);
    await sessions.seal(committed);
    const used = await create(sessions);
    const left = await create(sessions);
    await create(sessions);
    await assert.rejects(create(sessions), { code: "RATE_LIMITED" });
    clock(LIMITS.uploadSessionIdleMs + 1_000);
    sessions.find(used.id, HERE);
    const one = await create(sessions);
    assert.throws(() => sessions.find(left.id, HERE), { code: "SESSION_UNKNOWN" });
    await create(sessions);
    await assert.rejects(create(sessions), { code: "RATE_LIMITED" });
    for (const { id } of [committed, used, one]) assert.ok(sessions.find(id, HERE));
    // A restart makes all of them new again, and knows what was committed.
    const later = new UploadSessions({ store: fixture.store, now, limit: 4 });
    await assert.rejects(create(later), { code: "RATE_LIMITED" });
    clock(3 * LIMITS.uploadSessionIdleMs);
    for (let i = 0; i < 10; i++) await create(later).catch(() => undefined);
    assert.ok(later.find(committed.id, HERE));
  }));

test("what was sealed stays until its publish has ended, however long that takes", () =>
  withSessions(async ({ fixture, sessions, clock, reconcile }) => {
    const found = await create(sessions);
    await receive(sessions, found, CONTENT);
    await sessions.seal(found);
    clock(100 * LIMITS.uploadSessionMs);
    await reconcile({ state: "queued" });
    assert.equal(fileCount(fixture), 2);
    await reconcile({ state: "ready" });
    assert.equal(fileCount(fixture), 0);
  }));

test("what was sealed and never accepted goes when no accept can come any more", () =>
  withSessions(async ({ fixture, sessions, clock, reconcile }) => {
    const found = await create(sessions);
    await receive(sessions, found, CONTENT);
    await sessions.seal(found);
    clock(LIMITS.uploadSessionMs + HOUR_MS / 2);
    await reconcile();
    assert.equal(fileCount(fixture), 2);
    clock(LIMITS.uploadSessionMs + 2 * HOUR_MS);
    await reconcile();
    assert.equal(fileCount(fixture), 0);
  }));
