import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { TestFarm } from "../helpers/farm.ts";
import {
  commitUpload,
  type Files,
  type ListedFiles,
  listFiles,
  missingContent,
  plan,
  putStream,
} from "../helpers/listing.ts";
import type { Bench } from "./bench.ts";
import { withBenchFarm } from "./bench-farm.ts";
import { farmUsage, usageSince } from "./farm-usage.ts";
import { type Row, roundsRow, type Section, valueRow } from "./row.ts";
import { median } from "./statistics.ts";

const WARM_UP = 5;
const ROUNDS = 30;
/** Every hundredth file changes each round, others each time. */
const STEP = 100;
const MANY_FILES = 50_000;

/** Re-publishes a tree of which 1 % has changed since the last time by have/want: what it costs the farm, and the wire. */
export async function measureDirectory({ folder, corpus }: Bench): Promise<Section> {
  const files = readTree(corpus.tree);
  return withBenchFarm(join(folder, "directory"), [], async (farm) => {
    await publish(farm, "app", listFiles(files), 0);
    for (let round = 1; round <= WARM_UP; round++)
      await publish(farm, "app", listFiles(change(files, round)), round);
    const before = farmUsage(farm);
    const rounds: Round[] = [];
    for (let round = WARM_UP + 1; round <= WARM_UP + ROUNDS; round++)
      rounds.push(await publish(farm, "app", listFiles(change(files, round)), round));
    const used = usageSince(farm, before);
    const wire = rounds.map(({ wireBytes, neededBytes }) => wireBytes / neededBytes);
    return {
      title: "Directory publish (have/want), warm: 1 % changed",
      rows: [
        // The mean: the kernel counts in ticks of 10 ms.
        valueRow("CPU of the farm", used.cpuMs / ROUNDS, "ms CPU", { reach: { atMost: 20 } }),
        valueRow("CPU of its nats-server", used.natsCpuMs / ROUNDS, "ms CPU"),
        roundsRow(
          "from the plan to ready",
          rounds.map(({ wallMs }) => wallMs),
        ),
        roundsRow("sent, by changed bytes and listing", wire, { unit: "x", reach: { atMost: 1.5 } }),
        roundsRow(
          "sent",
          rounds.map(({ wireBytes }) => wireBytes / 1e3),
          { unit: "KB" },
        ),
        valueRow("requests", median(rounds.map(({ requests }) => requests)), ""),
        valueRow(
          "written to disk by sent bytes",
          used.writtenBytes / rounds.reduce((sum, { wireBytes }) => sum + wireBytes, 0),
          "x",
        ),
        await manyFiles(farm),
      ],
    };
  });
}

async function manyFiles(farm: TestFarm): Promise<Row> {
  const files = Object.fromEntries(
    Array.from({ length: MANY_FILES }, (_, i) => [`folder-${i % 500}/file-${i}.txt`, `content ${i}\n`]),
  );
  const { requests, wallMs } = await publish(farm, "many", listFiles(files), 0);
  return valueRow(`requests for ${MANY_FILES} new files`, requests, "", {
    reach: { atMost: 5 },
    note: `${(wallMs / 1000).toFixed(1)} s`,
  });
}

interface Round {
  readonly wallMs: number;
  /** Listing, stream and commit as sent, without HTTP headers. */
  readonly wireBytes: number;
  /** Changed contents, and the listing as sent. */
  readonly neededBytes: number;
  readonly requests: number;
}

async function publish(farm: TestFarm, project: string, files: ListedFiles, round: number): Promise<Round> {
  let requests = 0;
  const counting: Pick<TestFarm, "fetch"> = {
    fetch: (path, init) => {
      requests += 1;
      return farm.fetch(path, init);
    },
  };
  const listingBytes = gzipSync(files.listing).byteLength;
  const body = { commit: (0x1000000 + round).toString(16) };
  const startedMs = performance.now();
  const planned = (await plan(counting, project, files.listing)).body;
  const content = missingContent(files, planned);
  const session = planned.session ?? "";
  if (content.byteLength > 0) await putStream(counting, project, session, content);
  const committed = await commitUpload(counting, project, session, { body, waitSeconds: 120 });
  if (committed.status !== 201) throw new Error(committed.text);
  return {
    wallMs: performance.now() - startedMs,
    neededBytes: content.byteLength + listingBytes,
    wireBytes: listingBytes + content.byteLength + JSON.stringify(body).length,
    requests,
  };
}

function readTree(folder: string): Record<string, Buffer> {
  const files: Record<string, Buffer> = {};
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name);
    if (entry.isFile()) files[file.slice(folder.length + 1)] = readFileSync(file);
  }
  return files;
}

/** Changes its share of `files` in place. */
function change(files: Record<string, Buffer>, round: number): Files {
  const paths = Object.keys(files);
  for (let at = round % STEP; at < paths.length; at += STEP) {
    const path = paths[at] ?? "";
    files[path] = Buffer.concat([files[path] ?? Buffer.alloc(0), Buffer.from(`\n// round ${round}\n`)]);
  }
  return files;
}
