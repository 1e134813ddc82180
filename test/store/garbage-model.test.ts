import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import type { Digest } from "../../proto/digest.ts";
import { openStoreFixture, type StoreFixture } from "../helpers/store-fixture.ts";
import { collect, contentBytes, contentsOfTree, putTree, treeOf } from "../helpers/store-trees.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

/** Trees that share contents in pairs, and one with all. */
const TREES = 8;
const GRACE_MS = 1_000;

type Step =
  | { readonly do: "hold" | "release" | "retire"; readonly tree: number }
  | { readonly do: "collect"; readonly graceMs: number }
  | { readonly do: "wait" | "reopen" };

const tree = fc.nat({ max: TREES - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom("hold" as const, "release", "retire"), tree }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("collect" as const), graceMs: fc.constantFrom(0, GRACE_MS) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("wait" as const, "reopen") }) },
);

/** The store beside what it has to hold: trees that are held or released, and what else was condemned since when. */
class Model {
  readonly #dir = tempFolder();
  readonly #held = new Set<number>();
  readonly #released = new Set<number>();
  /** Everything that was put and may still be on disk, and when it was condemned. */
  readonly #condemnedMs = new Map<Digest, number | undefined>();
  #nowMs = 1_000_000;
  #fixture: StoreFixture | undefined;

  get fixture(): StoreFixture {
    assert.ok(this.#fixture);
    return this.#fixture;
  }

  async open(): Promise<void> {
    this.#fixture = await openStoreFixture(this.#dir, { now: () => this.#nowMs });
  }

  async run(next: Step): Promise<void> {
    if (next.do === "hold") await this.#hold(next.tree);
    else if (next.do === "release") await this.#release(next.tree);
    else if (next.do === "retire") this.#released.delete(next.tree);
    else if (next.do === "collect") await this.#collect(next.graceMs);
    else if (next.do === "wait") this.#nowMs += GRACE_MS;
    else {
      await this.fixture.close();
      // Holds end with the process; what was not released by then is published again.
      this.#held.clear();
      await this.open();
    }
  }

  /** Puts a tree as a publish does: it stays until its end is recorded. */
  async #hold(number: number): Promise<void> {
    const contents = contentsOfTree(number).map(({ bytes }) => bytes);
    assert.equal((await putTree(this.fixture, contents, { heldBy: `p${number}` })).tree, treeOf(number));
    this.#held.add(number);
    for (const digest of digestsOf(number)) this.#condemnedMs.set(digest, undefined);
  }

  async #release(number: number): Promise<void> {
    if (!this.#held.delete(number)) return;
    this.#released.add(number);
    await this.fixture.store.releaseLease(`p${number}`);
  }

  async #collect(graceMs: number): Promise<void> {
    const roots = [...this.#released].map((number) => ({ tree: treeOf(number) }));
    const foretold = await collect(this.fixture, roots, { graceMs, dryRun: true });
    const result = await collect(this.fixture, roots, { graceMs });
    assert.deepEqual(result.condemned, foretold.condemned);
    assert.deepEqual([result.deleted, result.waiting], [foretold.deleted, foretold.waiting]);
    const named = this.#named();
    for (const [digest, sinceMs] of [...this.#condemnedMs]) {
      if (named.has(digest)) this.#condemnedMs.set(digest, undefined);
      else if (this.#nowMs - (sinceMs ?? this.#nowMs) >= graceMs) this.#condemnedMs.delete(digest);
      else this.#condemnedMs.set(digest, sinceMs ?? this.#nowMs);
    }
    const waiting = [...this.#condemnedMs.values()].filter((sinceMs) => sinceMs !== undefined).length;
    assert.equal(result.waiting.blobs, waiting);
  }

  /** What is named or was not condemned is there and verifies; nothing else is called present; accounts and disk agree. */
  async check(): Promise<void> {
    const { store } = this.fixture;
    for (let number = 0; number < TREES; number++) {
      for (const { digest, bytes } of contentsOfTree(number)) {
        const isThere = this.#condemnedMs.has(digest) && this.#condemnedMs.get(digest) === undefined;
        assert.equal(store.stat(digest) !== undefined, isThere, `${digest} of tree ${number}`);
        if (isThere) assert.ok((await store.read(digest)).equals(bytes));
      }
    }
    assert.equal(store.stats().blobs, this.#condemnedMs.size);
    const { corrupt, missing, misframed, orphaned, wrongAccounts } = await store.fsck();
    assert.deepEqual([corrupt, missing, misframed, orphaned, wrongAccounts], [[], [], [], [], []]);
    const { packBytes, bigBytes } = store.stats();
    assert.equal(contentBytes(this.#dir), packBytes + bigBytes);
  }

  #named(): Set<Digest> {
    return new Set([...this.#held, ...this.#released].flatMap(digestsOf));
  }
}

function digestsOf(number: number): Digest[] {
  return [treeOf(number), ...contentsOfTree(number).map(({ digest }) => digest)];
}

it("holds what is named, and deletes the rest in time, through any sequence of publishes, ends, collections and restarts", async (t) => {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  t.diagnostic(`GRANARY_SEED=${seed}`);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
      const model = new Model();
      await model.open();
      for (const next of steps) await model.run(next);
      await model.check();
      await model.fixture.close();
    }),
    { numRuns: 5, seed, endOnFailure: true },
  );
});
