import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { digestHex } from "../../proto/digest.ts";
import { LIMITS } from "../../proto/limits.ts";
import { rebuildIndex } from "../../store/rebuild-index.ts";
import { flipInPages } from "./flip-in-pages.ts";
import { contentOf, openStoreFixture } from "./store-fixture.ts";
import { tempFolder } from "./temp-folder.ts";

const ENTRY = fileURLToPath(new URL("./index-flips-main.js", import.meta.url));
/** A supervisor would start it again; more often than this is a loop. */
const STARTS = 4;

interface Met {
  readonly unread: readonly string[];
  readonly put: string;
  readonly gc: string;
  readonly fsck: Readonly<Record<string, unknown>>;
  readonly lostUploads: readonly string[];
}

/** A data folder with a closed store: some hundred blobs in four segments, two big files, uploads. */
export async function makeDataFolder(): Promise<string> {
  const dataDir = tempFolder();
  const blobs: { hex: string; seed: string; size: number }[] = [];
  const uploads: string[] = [];
  for (let run = 0; run < 4; run++) {
    const fixture = await openStoreFixture(join(dataDir, "store"));
    const contents = Array.from({ length: 150 }, (_, i) => ({ seed: `${run}.${i}`, size: 100 + i }));
    if (run % 2 === 0) contents.push({ seed: `big ${run}`, size: LIMITS.packedBlobBytes + 9 });
    const digests = await fixture.put(...contents.map(({ seed, size }) => contentOf(seed, size)));
    for (const [i, digest] of digests.entries()) {
      const { seed = "", size = 0 } = contents[i] ?? {};
      blobs.push({ hex: digestHex(digest), seed, size });
    }
    const id = `upload-${run}`;
    const upload = await fixture.store.openUpload(id);
    await upload.write(contentOf(id, 100_000));
    await upload.seal({ leaseMs: Number.POSITIVE_INFINITY });
    uploads.push(id);
    await fixture.close();
  }
  fs.writeFileSync(join(dataDir, "expected.json"), JSON.stringify({ blobs, uploads }));
  return dataDir;
}

/**
 * Flips one bit of the index's file and lets a farm's store start on it, as often as a supervisor would. Whatever the bit does, all
 * content and all uploads are there in the end: at once, or when an index that was found to be damaged has been made anew.
 * @param options.crashed the index was not closed in order
 * @returns what it came to, for counting
 * @throws AssertionError
 */
export async function flipInIndex(
  template: string,
  { random, crashed, what }: { random: () => number; crashed: boolean; what: string },
): Promise<string> {
  const dataDir = tempFolder();
  fs.cpSync(template, dataDir, { recursive: true });
  const storeDir = join(dataDir, "store");
  const file = join(storeDir, "index", "index.mdb");
  const where = `${what}, ${flipInPages(file, random)}`;
  if (crashed) fs.rmSync(join(storeDir, "index", "closed"), { force: true });
  const { met, deaths } = start(dataDir, where);
  if (met !== undefined && Object.keys(met.fsck).length === 0) {
    assert.deepEqual([met.unread, met.lostUploads, met.put, met.gc], [[], [], "done", "done"], where);
    fs.rmSync(dataDir, { recursive: true });
    return deaths > 0 ? "died, then whole" : "whole";
  }
  assert.deepEqual(met?.lostUploads ?? [], [], where);
  await rebuildIndex(storeDir, { log: () => undefined });
  const after = start(dataDir, where);
  assert.deepEqual(
    after.met,
    { unread: [], put: "done", gc: "done", fsck: {}, lostUploads: [] },
    `${where}: ${JSON.stringify(met)}`,
  );
  fs.rmSync(dataDir, { recursive: true });
  return met === undefined ? "refused" : "found";
}

/** undefined: refused with the command that makes the index anew. */
function start(dataDir: string, where: string): { met: Met | undefined; deaths: number } {
  const errors: string[] = [];
  for (let deaths = 0; deaths < STARTS; deaths++) {
    const child = spawnSync(process.execPath, [ENTRY, dataDir], { encoding: "utf8", timeout: 60_000 });
    if (child.status === 0) return { met: JSON.parse(child.stdout) as Met, deaths };
    if (child.stderr.includes("rebuild-index")) return { met: undefined, deaths };
    errors.push(child.signal ?? child.stderr.slice(0, 2_000));
  }
  assert.fail(`${where}: a crash loop: ${errors.join("\n")}`);
}
