import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Digest, digestOf } from "../../proto/digest.ts";
import { ARCHIVE_LIMITS } from "../../proto/limits.ts";
import type { ExtractResult } from "../../proto/worker-tasks.ts";
import { extractArchive } from "../../workers/extract-archive.ts";
import { TreeMemory } from "../../workers/tree-memory.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { random } from "../helpers/random.ts";
import { findInPacks, flipBit } from "../helpers/store-disk.ts";
import { openStoreFixture, type StoreFixture, taskCell } from "../helpers/store-fixture.ts";
import { tempFolder } from "../helpers/temp-folder.ts";
import { waitUntil } from "../helpers/wait-until.ts";

type Files = Readonly<Record<string, string>>;

function extract(
  fixture: StoreFixture,
  files: Files,
  { memory, baseTrees }: { memory: TreeMemory; baseTrees: readonly Digest[] },
): ExtractResult {
  const archive = appArchive(files);
  const archivePath = join(fixture.dir, "archive");
  writeFileSync(archivePath, archive);
  const log = { attempt: 1, lines: [], port: { postMessage: () => undefined } };
  const rules = { limits: ARCHIVE_LIMITS, portableNames: false, strip: 0, imageBuilds: false };
  const about = { archivePath, uploadBytes: archive.byteLength, log, cell: taskCell() };
  return extractArchive({ ...rules, ...about, baseTrees, baseLayers: [] }, fixture.thread, memory);
}

/** Publishes one after the other on one thread, and each also on a thread that remembers nothing. */
class Thread {
  readonly #fixture: StoreFixture;
  readonly #alone: StoreFixture;
  readonly #memory = new TreeMemory();
  baseTrees: Digest[] = [];

  constructor(fixture: StoreFixture, alone: StoreFixture) {
    this.#fixture = fixture;
    this.#alone = alone;
  }

  async publish(files: Files): Promise<ExtractResult> {
    const fresh = extract(this.#alone, files, { memory: new TreeMemory(), baseTrees: this.baseTrees });
    await this.#alone.store.commit(fresh.commit);
    const made = extract(this.#fixture, files, { memory: this.#memory, baseTrees: this.baseTrees });
    const { timings_ms: _, ...stats } = made.stats;
    const { timings_ms: __, ...freshStats } = fresh.stats;
    assert.deepEqual([made.artifact, stats], [fresh.artifact, freshStats]);
    await this.#fixture.store.commit(made.commit);
    this.baseTrees = [made.artifact.tree, ...this.baseTrees].slice(0, 3);
    for (const content of Object.values(files))
      assert.ok(
        (await this.#fixture.store.read(digestOf(Buffer.from(content)))).equals(Buffer.from(content)),
      );
    return made;
  }

  /** What a task puts that is never committed. */
  async lose(files: Files): Promise<void> {
    const { commit } = extract(this.#fixture, files, { memory: this.#memory, baseTrees: this.baseTrees });
    await this.#fixture.store.discard(commit);
  }
}

async function withThread(body: (thread: Thread, fixture: StoreFixture) => Promise<void>): Promise<void> {
  const fixture = await openStoreFixture(tempFolder());
  const alone = await openStoreFixture(tempFolder());
  await body(new Thread(fixture, alone), fixture);
  await fixture.close();
  await alone.close();
}

test("archives that resemble each other make the images that a thread without a memory makes, and all of their content is stored", async (t) => {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  t.diagnostic(`GRANARY_SEED=${seed}`);
  const next = random(seed);
  const pick = (below: number): number => Math.floor(next() * below);
  await withThread(async (thread) => {
    let files: Record<string, string> = {};
    for (let round = 0; round < 40; round++) {
      for (let edits = pick(5); edits >= 0; edits--) {
        const paths = Object.keys(files);
        const path =
          pick(2) === 0 ? `node_modules/p${pick(6)}/f${pick(6)}` : (paths[pick(paths.length)] ?? "karta.txt");
        const text = files[path] ?? "";
        const other = [
          `${text}+`,
          text.slice(0, -1),
          `!${text.slice(1)}`,
          `${text.slice(0, -1)}?`,
          "",
          "same",
        ][pick(6)];
        files = { ...files, [path]: other ?? "" };
        if (pick(6) === 0) delete files[path];
      }
      files = { ...files, "big.bin": `${round % 3}`.repeat(700_000) };
      await (pick(4) === 0 ? thread.lose(files) : thread.publish(files));
    }
  });
});

const BEFORE = { "a.txt": "the first content", "b.txt": "the second content", "c.txt": "third" };

async function damage({ dir, store }: StoreFixture, content: string): Promise<void> {
  const victim = Buffer.from(content);
  const { path, offset } = findInPacks(dir, victim);
  flipBit(path, offset + 3);
  await assert.rejects(store.read(digestOf(victim)), { code: "STORE_CORRUPT" });
  await waitUntil("the finding is committed", 10_000, () => store.stat(digestOf(victim)) === undefined);
}

test("content that a pull found damaged is stored anew by an archive that has it at its old place", async () => {
  await withThread(async (thread, fixture) => {
    await thread.publish(BEFORE);
    await damage(fixture, BEFORE["b.txt"]);
    await thread.publish({ ...BEFORE, "c.txt": "another" });
  });
});

test("content that only a lost task brought is not relied on by the next one", async () => {
  await withThread(async (thread, fixture) => {
    const { "b.txt": content } = BEFORE;
    await thread.publish({ "a-copy.txt": content, ...BEFORE });
    await damage(fixture, content);
    await thread.lose({ "a-copy.txt": content, ...BEFORE });
    await thread.publish(BEFORE);
  });
});

test("a file that is compared in several windows and differs in the last byte is stored as it is", async () => {
  await withThread(async (thread) => {
    const long = "0123456789abcdef".repeat(60_000);
    await thread.publish({ "long.bin": long, "x.txt": "1" });
    await thread.publish({ "long.bin": `${long.slice(0, -1)}F`, "x.txt": "1" });
    await thread.publish({ "long.bin": `${long}F`, "x.txt": "1" });
  });
});
