import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { startTestFarm, type TestFarm } from "../helpers/farm.ts";
import {
  commitUpload,
  type Files,
  type ListedFiles,
  listFiles,
  missingContent,
  plan,
  putStream,
} from "../helpers/listing.ts";
import { farmCpu } from "./farm-cpu.ts";

export interface HaveWantResult {
  readonly files: number;
  readonly treeBytes: number;
  readonly rounds: number;
  /** Medians over the rounds. */
  readonly wallMs: number;
  readonly changedBytes: number;
  /** Listing, stream and commit as sent, without HTTP headers. */
  readonly wireBytes: number;
  readonly listingBytes: number;
  /** Wire bytes by changed bytes and listing. */
  readonly wireRatio: number;
  readonly requests: number;
  /** CPU of the farm's process a publish, its threads included, nats-server not; the mean, because the kernel counts in ticks. */
  readonly serverCpuMs: number;
  readonly natsCpuMs: number;
  /** CPU of one sha256 over the tree's contents, taken between the rounds: what computing the layer's digest costs at least. */
  readonly hashCpuMs: number;
  /** Medians of what the thread reports about its part. */
  readonly threadMs: Readonly<Record<string, number>>;
}

const WARM_UP = 5;
const ROUNDS = 30;
/** Every hundredth file is another one each round. */
const STEP = 100;

/** Re-publishes a tree of which 1 % has changed since the last time: what it costs the farm, and the wire. Linux only. */
export async function measureHaveWant(options: { folder: string; tree: string }): Promise<HaveWantResult> {
  const base = readTree(options.tree);
  const farm = await startTestFarm({
    data: join(options.folder, "have-want", "data"),
    env: { GRANARY_LOG: "error" },
  });
  try {
    await publish(farm, listFiles(base), 0);
    for (let round = 1; round <= WARM_UP; round++)
      await publish(farm, listFiles(changed(base, round)), round);
    const before = farmCpu(farm);
    const rounds: Round[] = [];
    const hashes: number[] = [];
    for (let round = WARM_UP + 1; round <= WARM_UP + ROUNDS; round++) {
      const files = listFiles(changed(base, round));
      rounds.push(await publish(farm, files, round));
      hashes.push(hashCpuMs(Object.values(base)));
    }
    const after = farmCpu(farm);
    return {
      files: Object.keys(base).length,
      treeBytes: Object.values(base).reduce((sum, bytes) => sum + bytes.length, 0),
      rounds: ROUNDS,
      wallMs: median(rounds.map(({ wallMs }) => wallMs)),
      changedBytes: median(rounds.map(({ changedBytes }) => changedBytes)),
      wireBytes: median(rounds.map(({ wireBytes }) => wireBytes)),
      listingBytes: median(rounds.map(({ listingBytes }) => listingBytes)),
      wireRatio: median(
        rounds.map(({ wireBytes, changedBytes, listingBytes }) => wireBytes / (changedBytes + listingBytes)),
      ),
      requests: 3,
      serverCpuMs: (after.farm - before.farm) / ROUNDS,
      hashCpuMs: median(hashes),
      natsCpuMs: (after.nats - before.nats) / ROUNDS,
      threadMs: mediansOf(rounds.map(({ threadMs }) => threadMs)),
    };
  } finally {
    await farm.stop();
  }
}

interface Round {
  readonly wallMs: number;
  readonly changedBytes: number;
  readonly wireBytes: number;
  readonly listingBytes: number;
  readonly threadMs: Readonly<Record<string, number>>;
}

async function publish(farm: TestFarm, files: ListedFiles, round: number): Promise<Round> {
  const listingBytes = gzipSync(files.listing).byteLength;
  const body = { commit: (0x1000000 + round).toString(16) };
  const startedMs = performance.now();
  const planned = (await plan(farm, "app", files.listing)).body;
  const content = missingContent(files, planned);
  const session = planned.session ?? "";
  if (content.byteLength > 0) await putStream(farm, "app", session, content);
  const committed = await commitUpload(farm, "app", session, { body, waitSeconds: 60 });
  if (committed.status !== 201) throw new Error(committed.text);
  return {
    wallMs: performance.now() - startedMs,
    changedBytes: content.byteLength,
    listingBytes,
    wireBytes: listingBytes + content.byteLength + JSON.stringify(body).length,
    threadMs: committed.body.release?.stats.timings_ms ?? {},
  };
}

function hashCpuMs(contents: readonly Uint8Array[]): number {
  const before = process.cpuUsage();
  const hash = createHash("sha256");
  for (const bytes of contents) hash.update(bytes);
  hash.digest();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function readTree(folder: string): Record<string, Buffer> {
  const files: Record<string, Buffer> = {};
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name);
    if (entry.isFile()) files[file.slice(folder.length + 1)] = readFileSync(file);
  }
  return files;
}

function changed(base: Readonly<Record<string, Buffer>>, round: number): Files {
  const paths = Object.keys(base);
  const files: Record<string, Buffer> = { ...base };
  for (let at = round % STEP; at < paths.length; at += STEP) {
    const path = paths[at] ?? "";
    files[path] = Buffer.concat([base[path] ?? Buffer.alloc(0), Buffer.from(`\n// round ${round}\n`)]);
  }
  return files;
}

function mediansOf(rows: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const names = Object.keys(rows[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, median(rows.map((row) => row[name] ?? 0))]));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
