import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { digestOf } from "../../proto/digest.ts";
import { fsCallCount, ifPresent, injectFault } from "../../store/fs.ts";
import { storeFiles } from "../helpers/store-disk.ts";
import { contentOf, openStoreFixture, type StoreFixture } from "../helpers/store-fixture.ts";
import { tempFolder } from "../helpers/temp-folder.ts";
import { waitUntil } from "../helpers/wait-until.ts";

const HOUR_MS = 3_600_000;

async function withStore(work: (fixture: StoreFixture) => Promise<void>, dir = tempFolder()): Promise<void> {
  const fixture = await openStoreFixture(dir);
  try {
    await work(fixture);
  } finally {
    await fixture.close();
  }
}

async function upload(
  { store }: StoreFixture,
  id: string,
  content: Buffer,
  chunkBytes = 65_536,
): Promise<void> {
  const writer = await store.openUpload(id);
  for (let at = 0; at < content.length; at += chunkBytes)
    await writer.write(content.subarray(at, at + chunkBytes));
  const sealed = await writer.seal({ leaseMs: HOUR_MS });
  assert.deepEqual(sealed, { digest: digestOf(content), size: content.length, path: store.uploadPath(id) });
}

describe("an upload", () => {
  for (const [size, chunkBytes] of [
    [0, 1],
    [10, 3],
    [5_000, 1],
    [3_000_000, 65_536],
    [5_000_000, 5_000_000],
  ] as const) {
    it(`of ${size} bytes in chunks of ${chunkBytes} ends as one file with its digest`, () =>
      withStore(async (fixture) => {
        const content = contentOf(size, size);
        await upload(fixture, "p1", content, chunkBytes);
        assert.deepEqual(fs.readFileSync(fixture.store.uploadPath("p1")), content);
        assert.deepEqual(fixture.store.listUploads(), [{ id: "p1", size }]);
        assert.equal(fixture.store.stats().inboxBytes, size);
      }));
  }

  it("is written in large pieces, however small its chunks", () =>
    withStore(async (fixture) => {
      const cells = fixture.store.workerData().fsCells;
      await upload(fixture, "p1", contentOf(1, 4 * 1024 * 1024), 16_384);
      assert.ok(fsCallCount(cells, "inbox.write") <= 17, String(fsCallCount(cells, "inbox.write")));
    }));

  it("makes its writer wait when the disk is behind", () =>
    withStore(async ({ store }) => {
      const writer = await store.openUpload("p1");
      const chunk = contentOf(1, 1024 * 1024);
      const first = writer.write(chunk);
      const second = writer.write(chunk);
      let waited = true;
      void second.then(() => (waited = false));
      await Promise.resolve();
      assert.equal(waited, true);
      await Promise.all([first, second]);
      await writer.abort();
    }));

  it("leaves nothing when it is aborted", () =>
    withStore(async ({ dir, store }) => {
      const writer = await store.openUpload("p1");
      await writer.write(contentOf(1, 1_000_000));
      await writer.abort();
      await writer.abort();
      assert.deepEqual(storeFiles(dir), new Map());
      await assert.rejects(writer.write(Buffer.alloc(1)), { code: "STATE_CONFLICT" });
      await assert.rejects(writer.seal({ leaseMs: 1 }), { code: "STATE_CONFLICT" });
    }));

  it("has its id for itself", () =>
    withStore(async ({ store }) => {
      const writer = await store.openUpload("p1");
      await assert.rejects(store.openUpload("p1"), { code: "STATE_CONFLICT" });
      await writer.abort();
      await (await store.openUpload("p1")).abort();
      for (const id of ["", "../p", "a/b", "a.part", "x".repeat(129)]) {
        await assert.rejects(async () => store.openUpload(id), { code: "NAME_INVALID" });
      }
    }));

  it("survives a restart under its lease, unlike one that was not sealed", async () => {
    const dir = tempFolder();
    await withStore(async (fixture) => {
      await upload(fixture, "sealed", contentOf(1, 1000));
      const open = await fixture.store.openUpload("open");
      await open.write(contentOf(2, 1_000_000));
      const partial = join(dir, "inbox", "open.part");
      await waitUntil("it is being written", 5_000, () => fs.existsSync(partial));
      fs.copyFileSync(partial, join(dir, "inbox", "crashed.part"));
      fs.writeFileSync(join(dir, "inbox", "unleased"), "x");
    }, dir);
    await withStore(async ({ store }) => {
      assert.deepEqual(store.listUploads(), [{ id: "sealed", size: 1000 }]);
      assert.deepEqual(fs.readdirSync(join(dir, "inbox")), ["sealed"]);
    }, dir);
  });

  it("has no file while it is small and not sealed", () =>
    withStore(async ({ dir, store }) => {
      const small = await store.openUpload("small");
      await small.write(contentOf(1, 60_000));
      assert.deepEqual(fs.readdirSync(join(dir, "inbox")), []);
      const { digest, path } = await small.seal({ leaseMs: 60_000 });
      assert.equal(digest, digestOf(fs.readFileSync(path)));
    }));

  it("goes when it is removed, with its lease", () =>
    withStore(async (fixture) => {
      await upload(fixture, "p1", contentOf(1, 1000));
      await fixture.store.removeUpload("p1");
      await fixture.store.removeUpload("p1");
      assert.deepEqual([fixture.store.leases(), fixture.store.listUploads()], [[], []]);
      assert.equal(fixture.store.stats().inboxBytes, 0);
    }));

  it("fails and is removed when the disk is full", () =>
    withStore(async ({ dir, store }) => {
      const { fsCells } = store.workerData();
      const writer = await store.openUpload("p1");
      injectFault(fsCells, { op: "inbox.write", errno: "ENOSPC" });
      await assert.rejects(
        async () => {
          for (let i = 0; i < 20; i++) await writer.write(contentOf(i, 200_000));
          await writer.seal({ leaseMs: 1 });
        },
        { code: "STORE_FULL" },
      );
      await writer.abort();
      assert.deepEqual(storeFiles(dir), new Map());
      await (await store.openUpload("p1")).abort();
    }));

  it("holds no file open when its last bytes found no room", { skip: process.platform !== "linux" }, () =>
    withStore(async ({ store }) => {
      const { fsCells } = store.workerData();
      const open = (id: string): string[] =>
        fs
          .readdirSync("/proc/self/fd")
          .flatMap((fd) => ifPresent(() => fs.readlinkSync(`/proc/self/fd/${fd}`)) ?? [])
          .filter((path) => path.includes(id));
      const archive = await store.openUpload("pub_1");
      const stream = await store.resumeUpload("pub_2");
      for (const [id, upload] of [
        ["pub_1", archive],
        ["pub_2", stream],
      ] as const) {
        await upload.write(contentOf("begins", 300_000));
        await waitUntil("it is written", 5_000, () => fs.statSync(open(id)[0] ?? "/dev/null").size > 0);
        await upload.write(contentOf("ends", 10));
        injectFault(fsCells, { op: "inbox.write", errno: "ENOSPC" });
        await assert.rejects(upload.seal({ leaseMs: HOUR_MS }), { code: "STORE_FULL" });
        assert.deepEqual(open(id), []);
      }
    }),
  );

  it("shares one folder sync and one transaction with the others that are sealed meanwhile", () =>
    withStore(async (fixture) => {
      const { store } = fixture;
      const { fsCells } = store.workerData();
      const writers = await Promise.all(Array.from({ length: 50 }, (_, i) => store.openUpload(`p${i}`)));
      await Promise.all(writers.map((writer, i) => writer.write(contentOf(i, 500))));
      const before = {
        commits: fsCallCount(fsCells, "index.commit"),
        folders: fsCallCount(fsCells, "folder.sync"),
      };
      await Promise.all(writers.map((writer) => writer.seal({ leaseMs: HOUR_MS })));
      assert.ok(fsCallCount(fsCells, "index.commit") - before.commits <= 15);
      assert.ok(fsCallCount(fsCells, "folder.sync") - before.folders <= 15);
      assert.equal(store.leases().length, 50);
      assert.equal(store.listUploads().length, 50);
    }));

  it("is sealed together with the leases of what goes with it", () =>
    withStore(async ({ store }) => {
      const { fsCells } = store.workerData();
      const writer = await store.resumeUpload("stream");
      await writer.write(contentOf(1, 500));
      const before = fsCallCount(fsCells, "index.commit");
      await writer.seal({ leaseMs: Number.POSITIVE_INFINITY, alsoHeld: ["listing"] });
      assert.equal(fsCallCount(fsCells, "index.commit") - before, 1);
      assert.deepEqual(
        store
          .leases()
          .map(({ id }) => id)
          .sort(),
        ["listing", "stream"],
      );
      assert.equal(store.leaseUntilMs("listing"), Number.POSITIVE_INFINITY);
    }));

  it("goes behind its publish with what is made durable next, several at a time", () =>
    withStore(async (fixture) => {
      const { store } = fixture;
      const { fsCells } = store.workerData();
      for (const id of ["a", "b", "c"]) await upload(fixture, id, contentOf(id, 10));
      const before = fsCallCount(fsCells, "index.commit");
      const gone = [store.removeUploads(["a", "b"], { behind: true })];
      await sleep(5);
      gone.push(store.removeUploads(["c"], { behind: true }));
      await Promise.all(gone);
      assert.ok(fsCallCount(fsCells, "index.commit") - before <= 2);
      assert.deepEqual([store.leases(), store.listUploads()], [[], []]);
    }));
});

describe("a lease", () => {
  it("holds its upload until it ends or is released", async () => {
    let nowMs = 1_000_000;
    const fixture = await openStoreFixture(tempFolder(), { now: () => nowMs });
    for (const id of ["a", "b", "c"]) await upload(fixture, id, contentOf(id, 10));
    await fixture.store.acquireLease("b", 3 * HOUR_MS);
    await fixture.store.acquireLease("c", Number.POSITIVE_INFINITY);
    assert.equal(await fixture.store.sweepInbox(), 0);
    nowMs += HOUR_MS;
    assert.equal(await fixture.store.sweepInbox(), 1);
    assert.deepEqual(
      fixture.store.listUploads().map(({ id }) => id),
      ["b", "c"],
    );
    await fixture.store.releaseLease("b");
    assert.equal(await fixture.store.sweepInbox(), 1);
    nowMs += 1e15;
    assert.equal(await fixture.store.sweepInbox(), 0);
    await fixture.store.releaseLease("c");
    await fixture.store.releaseLease("c");
    assert.equal(await fixture.store.sweepInbox(), 1);
    await fixture.close();
  });

  it("is durable, and forgotten at a start after its end", async () => {
    const dir = tempFolder();
    const first = await openStoreFixture(dir, { now: () => 0 });
    await first.store.acquireLease("short", 10);
    await first.store.acquireLease("long", 1000);
    await first.close();
    const second = await openStoreFixture(dir, { now: () => 100 });
    assert.deepEqual(second.store.leases(), [{ id: "long", untilMs: 1000 }]);
    await second.close();
  });
});
