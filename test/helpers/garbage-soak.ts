import assert from "node:assert/strict";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { type Digest, digestOf } from "../../proto/digest.ts";
import { GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { Name } from "../../proto/names.ts";
import type { MaterializeTask } from "../../proto/worker-tasks.ts";
import { Roots } from "../../services/shared/roots.ts";
import { checkTreeFolder } from "../../store/check-tree-folder.ts";
import type { GcRoot } from "../../store/gc-root.ts";
import type { Store } from "../../store/store.ts";
import type { WorkerPool } from "../../workers/pool.ts";
import { contentOf, openStoreFixture, readStream, taskCell } from "./store-fixture.ts";
import { contentBytes, entriesOf } from "./store-trees.ts";
import { tempFolder } from "./temp-folder.ts";
import type { TreeReply, TreeTask } from "./tree-worker-main.ts";

const THREADS = 2;
/** Releases that stay; older ones are retired, so most content becomes garbage, and some of it comes back. */
const RELEASES = 6;
const GC_EVERY_MS = 10;
const SWEEP_EVERY_MS = 50;
const PROJECT = { org: "acme" as Name, project: "app" as Name };

interface Release {
  readonly tree: Digest;
  readonly layer: Digest;
  readonly files: TreeTask["files"];
}

export interface SoakResult {
  readonly publishes: number;
  readonly collections: number;
  readonly reads: number;
  /** Releases made folders, files of them that are shared with an earlier folder, and folders that were removed again. */
  readonly materialized: number;
  readonly linked: number;
  readonly swept: number;
  readonly deletedBlobs: number;
  readonly rewritten: number;
  readonly rerun: number;
}

/**
 * Publishes trees that share content on threads, retires them, collects garbage without an undo period all the time, reads what is
 * released and makes it folders, which go when their release is retired: nothing may ever be missing, and every folder is whole.
 */
export async function soakGarbage(options: { publishes: number; seed: number }): Promise<SoakResult> {
  const { store, thread, dir } = await openStoreFixture(tempFolder());
  await thread.close();
  const soak = new Soak(store, { ...options, dir: join(tempFolder(), "roots") });
  try {
    await soak.run();
    await soak.collectOnce();
    await soak.checkAll();
    const { packBytes, bigBytes } = store.stats();
    const actual = contentBytes(dir);
    assert.ok(
      Math.abs(packBytes + bigBytes - actual) <= actual / 100,
      `accounts ${packBytes + bigBytes}, du ${actual}`,
    );
    const { corrupt, missing, misframed, orphaned, wrongAccounts } = await store.fsck();
    assert.deepEqual([corrupt, missing, misframed, orphaned, wrongAccounts], [[], [], [], [], []]);
    return soak.counts;
  } finally {
    await soak.close();
    await store.close();
  }
}

class Soak {
  readonly counts = {
    publishes: 0,
    collections: 0,
    reads: 0,
    materialized: 0,
    linked: 0,
    swept: 0,
    deletedBlobs: 0,
    rewritten: 0,
    rerun: 0,
  };
  readonly #store: Store;
  readonly #publishes: number;
  readonly #seed: number;
  readonly #workers: Worker[];
  readonly #materializer: Worker;
  readonly #roots: Roots;
  readonly #releases: Release[] = [];
  #next = 0;
  #ended = false;

  constructor(store: Store, { publishes, seed, dir }: { publishes: number; seed: number; dir: string }) {
    this.#store = store;
    this.#publishes = publishes;
    this.#seed = seed;
    const entry = new URL("./tree-worker-main.js", import.meta.url);
    const start = () => new Worker(entry, { workerData: store.workerData() });
    this.#workers = Array.from({ length: THREADS }, start);
    this.#materializer = start();
    this.#roots = new Roots({ dir, pool: poolOf(this.#materializer) });
  }

  async run(): Promise<void> {
    const others = [this.#collect(), this.#read(), this.#materialize(), this.#sweep()];
    try {
      await Promise.race([Promise.all(this.#workers.map((worker) => this.#publish(worker))), ...others]);
    } finally {
      this.#ended = true;
    }
    await Promise.all(others);
  }

  async checkAll(): Promise<void> {
    for (const release of this.#releases) await this.#check(release);
  }

  async collectOnce(): Promise<void> {
    const result = await this.#store.collectGarbage({
      roots: () => this.#gcRoots(),
      graceMs: 0,
      patienceMs: 50,
    });
    this.counts.collections += 1;
    this.counts.deletedBlobs += result.deleted.blobs;
    this.counts.rewritten += result.segments.rewritten;
  }

  async close(): Promise<void> {
    this.#ended = true;
    await Promise.all([...this.#workers, this.#materializer].map((worker) => worker.terminate()));
  }

  async #publish(worker: Worker): Promise<void> {
    while (this.#next < this.#publishes) {
      const number = this.#next++;
      const id = `p${number}`;
      // Held from its commit until its end is recorded, as a publish is.
      const release = await this.#commit(worker, this.#filesOf(number), id);
      await sleep(this.#random(`${number} ready`, 20));
      this.#releases.push(release);
      if (this.#releases.length > RELEASES) this.#releases.shift();
      await this.#store.releaseLease(id);
      this.counts.publishes += 1;
    }
  }

  async #commit(worker: Worker, files: TreeTask["files"], heldBy: string): Promise<Release> {
    for (;;) {
      worker.postMessage({ files } satisfies TreeTask);
      const [{ batch, tree, layer }] = (await once(worker, "message")) as [TreeReply];
      try {
        await this.#store.commit(batch, { heldBy });
        return { tree, layer, files };
      } catch (error) {
        if (!(error instanceof GranaryError && error.code === "UNAVAILABLE")) throw error;
        this.counts.rerun += 1;
      }
    }
  }

  async #collect(): Promise<void> {
    while (!this.#ended) {
      await this.collectOnce();
      await sleep(GC_EVERY_MS);
    }
  }

  async #read(): Promise<void> {
    for (let round = 0; !this.#ended; round++) {
      const release = this.#releases[this.#random(`read ${round}`, this.#releases.length)];
      if (release === undefined) await sleep(1);
      else await this.#check(release);
    }
  }

  /** What was released when this began is read to its end, also when it is retired meanwhile. */
  async #check({ layer, tree, files }: Release): Promise<void> {
    const { stream } = await this.#store.openContent(layer);
    const read = await readStream(stream);
    assert.equal(read.error, undefined, `${layer} of ${this.#seed}`);
    assert.equal(digestOf(read.bytes), layer);
    this.counts.reads += 1;
    if (!this.#releases.some((release) => release.tree === tree)) return;
    for (const { seed, size } of files) {
      const digest = digestOf(contentOf(seed, size));
      const isThere = this.#store.stat(digest) !== undefined;
      if (this.#releases.some((release) => release.tree === tree)) assert.ok(isThere, `${digest} of ${seed}`);
    }
  }

  async #materialize(): Promise<void> {
    for (let round = 0; !this.#ended; round++) {
      const release = this.#releases[this.#random(`folder ${round}`, this.#releases.length)];
      if (release === undefined) await sleep(1);
      else await this.#makeFolder(release);
    }
  }

  /** A release that is retired meanwhile may fail, and its folder may go. */
  async #makeFolder({ tree, files }: Release): Promise<void> {
    const isReleased = () => this.#releases.some((release) => release.tree === tree);
    const contents = files.map(({ seed, size }) => contentOf(seed, size));
    try {
      const made = await this.#roots.materialize({ ...PROJECT, tree }, new AbortController().signal);
      assert.equal(checkTreeFolder(made.path, entriesOf(contents)), undefined, made.path);
      this.counts.materialized += made.existing ? 0 : 1;
      this.counts.linked += made.linked;
    } catch (error) {
      if (isReleased()) throw error;
    }
  }

  async #sweep(): Promise<void> {
    while (!this.#ended) {
      this.counts.swept += await this.#roots.sweep(() => new Set(this.#releases.map(({ tree }) => tree)));
      await sleep(SWEEP_EVERY_MS);
    }
  }

  #gcRoots(): GcRoot[] {
    return this.#releases.flatMap(({ tree, layer }): GcRoot[] => [
      { digest: tree, kind: "tree" },
      { digest: layer, kind: "layer" },
    ]);
  }

  /** Half of each tree is drawn from few contents, so that retired content comes back. */
  #filesOf(number: number): TreeTask["files"] {
    const files = [];
    for (let at = 0; at < 8; at++) {
      const shared = this.#random(`${number} ${at}`, 40);
      files.push({ seed: `${this.#seed} shared ${shared}`, size: 500 + shared * 300 });
    }
    for (let at = 0; at < 6; at++)
      files.push({ seed: `${this.#seed} ${number} ${at}`, size: 200 + at * 4_000 });
    if (number % 40 === 39)
      files.push({ seed: `${this.#seed} big ${number % 3}`, size: LIMITS.packedBlobBytes + 1 });
    return files;
  }

  #random(what: string, below: number): number {
    return contentOf(`${this.#seed} ${what}`, 4).readUInt32LE(0) % Math.max(1, below);
  }
}

/** A pool of one thread, which is asked one thing at a time. */
function poolOf(worker: Worker): Pick<WorkerPool, "run"> {
  const run = async (_name: string, task: Omit<MaterializeTask, "cell">): Promise<unknown> => {
    worker.postMessage({ ...task, cell: taskCell() } satisfies MaterializeTask);
    const [outcome] = (await once(worker, "message")) as [unknown];
    return outcome;
  };
  return { run: run as WorkerPool["run"] };
}
