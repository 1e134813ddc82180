import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { type Digest, digestOf } from "../../proto/digest.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { TaskWriter } from "../../store/task-writer.ts";
import { openThreadStore, type ThreadStore } from "../../store/thread-store.ts";
import { storeFiles } from "../helpers/store-disk.ts";
import { contentOf, openStoreFixture, type StoreFixture, taskCell } from "../helpers/store-fixture.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

/** Few contents, so that tasks meet; of the sizes where the code takes another way. */
const CONTENTS = [
  0,
  1,
  63,
  64,
  5000,
  5001,
  1024 * 1024 - 64,
  1024 * 1024 - 63,
  3_000_000,
  LIMITS.packedBlobBytes + 7,
].map((size, index) => contentOf(index, size));

type Step =
  | { readonly do: "put"; readonly thread: number; readonly content: number }
  | { readonly do: "commit" | "discard" | "abandon"; readonly thread: number }
  | { readonly do: "upload" | "remove"; readonly id: number; readonly content: number }
  | { readonly do: "reopen" };

const THREADS = 2;
const thread = fc.nat({ max: THREADS - 1 });
const content = fc.nat({ max: CONTENTS.length - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("put" as const), thread, content }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom("commit" as const, "discard", "abandon"), thread }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom("upload" as const, "remove"),
      id: fc.nat({ max: 2 }),
      content,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reopen" as const) }) },
);

/** The store under test beside what it should hold. */
class Model {
  readonly dir = tempFolder();
  readonly committed = new Map<Digest, Buffer>();
  readonly uploads = new Map<string, number>();
  #fixture: StoreFixture | undefined;
  #threads: ThreadStore[] = [];
  #tasks: (TaskWriter | undefined)[] = [];
  #pending: Buffer[][] = [];

  get fixture(): StoreFixture {
    assert.ok(this.#fixture);
    return this.#fixture;
  }

  async open(): Promise<void> {
    const fixture = await openStoreFixture(this.dir);
    this.#fixture = fixture;
    this.#threads = Array.from({ length: THREADS }, () => openThreadStore(fixture.store.workerData()));
    this.#tasks = this.#threads.map(() => undefined);
    this.#pending = this.#threads.map(() => []);
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((each) => each.close()));
    await this.fixture.close();
  }

  async run(next: Step): Promise<void> {
    if (next.do === "reopen") {
      await this.close();
      await this.open();
      await this.check();
    } else if ("id" in next) await this.#upload(next);
    else await this.#task(next);
  }

  async #upload(next: Extract<Step, { id: number }>): Promise<void> {
    const id = `u${next.id}`;
    const bytes = CONTENTS[next.content] ?? Buffer.alloc(0);
    if (next.do === "remove") {
      await this.fixture.store.removeUpload(id);
      this.uploads.delete(id);
      return;
    }
    if (this.uploads.has(id)) return;
    const upload = await this.fixture.store.openUpload(id);
    await upload.write(bytes);
    await upload.seal({ leaseMs: 3_600_000 });
    this.uploads.set(id, bytes.length);
  }

  async #task(next: Extract<Step, { thread: number }>): Promise<void> {
    const index = next.thread;
    const pending = this.#pending[index] ?? [];
    if (next.do === "put") {
      const bytes = CONTENTS[next.content] ?? Buffer.alloc(0);
      this.#tasks[index] ??= this.#threads[index]?.beginTask(taskCell());
      assert.equal(this.#tasks[index]?.putBlob(bytes), digestOf(bytes));
      assert.deepEqual(this.#tasks[index]?.readBlob(digestOf(bytes)), bytes);
      pending.push(bytes);
      return;
    }
    const writer = this.#tasks[index];
    if (writer === undefined) return;
    this.#tasks[index] = undefined;
    this.#pending[index] = [];
    if (next.do === "abandon") writer.abandon();
    else if (next.do === "discard") await this.fixture.store.discard(writer.finish());
    else {
      await this.fixture.store.commit(writer.finish());
      for (const bytes of pending) this.committed.set(digestOf(bytes), bytes);
    }
  }

  /** The store holds what it should, no more, and all of it in order. */
  async check(): Promise<void> {
    const { store } = this.fixture;
    for (const bytes of CONTENTS) {
      const digest = digestOf(bytes);
      const expected = this.committed.has(digest);
      assert.equal(store.stat(digest) !== undefined, expected, `${bytes.length} bytes`);
      if (expected) assert.ok((await store.read(digest)).equals(bytes), `${bytes.length} bytes`);
    }
    const uploads = store.listUploads().map(({ id, size }) => [id, size] as const);
    assert.deepEqual(new Map(uploads), this.uploads);
    assert.equal(store.stats().blobs, this.committed.size);
  }

  async checkDisk(): Promise<void> {
    const { store } = this.fixture;
    const result = await store.fsck();
    assert.deepEqual([result.corrupt, result.misframed, result.missing, result.orphaned], [[], [], [], []]);
    assert.deepEqual(result.wrongAccounts, []);
    const { packBytes, deadBytes, bigFiles } = store.stats();
    const files = [...storeFiles(this.dir)];
    const onDisk = files
      .filter(([name]) => name.startsWith("packs/"))
      .reduce((sum, [, size]) => sum + size, 0);
    assert.equal(onDisk, packBytes);
    assert.ok(deadBytes >= 0 && deadBytes <= packBytes);
    assert.equal(files.filter(([name]) => name.startsWith("big/")).length, bigFiles);
    assert.equal(files.filter(([name]) => name.startsWith("staging/")).length, 0);
  }
}

/** Opening a store costs as much as forty steps: few long histories find more in a second than many short ones. */
const HISTORIES = process.env["GRANARY_KILLS"] === undefined ? 8 : 100;

it("holds exactly what was committed, through any sequence of puts, commits, abandoned tasks and restarts", async (t) => {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  t.diagnostic(`GRANARY_SEED=${seed}`);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80 }), async (steps) => {
      const model = new Model();
      await model.open();
      for (const next of steps) await model.run(next);
      await model.check();
      await model.close();
      await model.open();
      await model.check();
      await model.checkDisk();
      await model.close();
    }),
    { numRuns: HISTORIES, seed, endOnFailure: false },
  );
});
