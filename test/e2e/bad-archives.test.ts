import assert from "node:assert/strict";
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { Problem } from "../../proto/http.ts";
import type { ArchiveLimits } from "../../proto/limits.ts";
import { SEGMENT_HEADER_BYTES } from "../../store/pack-format.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { eventually, removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { ended, publish, publishReady, type StoreStat, storeStat } from "../helpers/farm-requests.ts";
import type { HostileArchive } from "../helpers/hostile-archive.ts";
import { HOSTILE_ARCHIVES } from "../helpers/hostile-archives.ts";

/** Limits that an operator can set; a row that lowers another one belongs to the reader's own tests. */
const SETTINGS: Partial<Record<keyof ArchiveLimits, string>> = {
  uploadBytes: "upload_bytes",
  expandedBytes: "expanded_bytes",
  fileBytes: "file_bytes",
  entries: "entries",
  ratio: "ratio",
  extractMs: "extract_ms",
};
/** Every archive is refused well within the time that one publish may take. */
const REFUSED_MS = 120_000;
const AT_ONCE = 6;

const folder = tempDir("bad-archives");
after(() => removeDir(folder));

interface Row {
  readonly name: string;
  readonly code: string;
  readonly status: number;
  readonly ms: number;
}

const rows: Row[] = [];

describe("archives that break a rule", () => {
  const atDefaults = HOSTILE_ARCHIVES.filter((row) => row.limits === undefined);
  refusesAll("at the default limits", atDefaults, undefined);
  describe("at lower limits", { concurrency: 3 }, () => {
    for (const [text, some] of groupByLimits()) refusesAll(`with ${text}`, some, `[limits]\n${text}\n`);
  });
  after(() => {
    const width = Math.max(...rows.map(({ name }) => name.length));
    const slowest = [...rows].sort((a, b) => b.ms - a.ms)[0];
    for (const { name, code, status, ms } of rows)
      process.stdout.write(`# ${name.padEnd(width)} ${code.padEnd(32)} ${status} ${Math.round(ms)} ms\n`);
    process.stdout.write(
      `# ${rows.length} archives refused; the slowest took ${Math.round(slowest?.ms ?? 0)} ms (${slowest?.name})\n`,
    );
  });
});

function refusesAll(title: string, archives: readonly HostileArchive[], config: string | undefined): void {
  describe(title, { concurrency: 1 }, () => {
    let farm: TestFarm;
    let before: Checked;

    test("the farm starts, and holds one honest release", async () => {
      const data = join(folder, `data-${title.replace(/[^a-z0-9]+/g, "-")}`);
      const file = `${data}.toml`;
      writeFileSync(file, config ?? "");
      farm = await startTestFarm({ data, args: ["--config", file] });
      const tiny = appArchive({ a: "" });
      await publishReady(farm, "honest", tiny, { query: { commit: "0000000" } });
      before = await checked(farm);
    });

    describe("each of them", { concurrency: AT_ONCE }, () => {
      for (const archive of archives) {
        test(`refuses ${archive.name}`, async () => {
          const began = performance.now();
          const { status, problem } = await refusal(farm, archive);
          const ms = performance.now() - began;
          rows.push({ name: archive.name, code: problem.code, status, ms });
          assert.equal(problem.code, archive.code, problem.detail);
          assert.ok(status >= 400 && status < 500, `${status}`);
          assert.ok(ms < REFUSED_MS, `${ms} ms`);
          for (const [key, value] of Object.entries(archive.detail ?? {}))
            assert.equal(problem.params[key], value, `${key}: ${JSON.stringify(problem)}`);
        });
      }
    });

    test("afterwards nothing of them is there, every thread lives, and an honest publish succeeds", async () => {
      const isClean = async (): Promise<true | undefined> =>
        (await storeStat(farm)).inbox_bytes === 0 ? true : undefined;
      await eventually(isClean, 5_000, "the inbox is empty");
      assert.deepEqual(await checked(farm), before);
      assert.ok(!farm.log().includes('"level":50'), farm.log());
      // More at once than there are threads: each of them has to work.
      await Promise.all(
        Array.from({ length: 8 }, (_, i) => publishReady(farm, `good-${i}`, appArchive({ a: "".padEnd(i) }))),
      );
      assert.equal(await farm.stop(), 0);
    });
  });
}

/** What a refused archive must not change. */
interface Checked extends Pick<StoreStat, "blobs" | "layers" | "packed_bytes" | "big_files"> {
  readonly files: readonly string[];
  /** Bytes in packs, whether a row points to them or not. */
  readonly appendedBytes: number;
  readonly threads: number;
}

async function checked(farm: TestFarm): Promise<Checked> {
  const { blobs, layers, packed_bytes, big_files } = await storeStat(farm);
  const nodes = await farm.json<{ items: { state: string; threads: number }[] }>("/v1/nodes");
  return {
    blobs,
    layers,
    packed_bytes,
    big_files,
    files: files(farm.data),
    appendedBytes: appendedBytes(join(farm.data, "store", "packs")),
    threads: nodes.items[0]?.threads ?? 0,
  };
}

/** Everything outside the logs' own folders: a traversal would show as a new name here, or beside the data folder. */
function files(data: string): string[] {
  return [
    ...readdirSync(folder),
    ...readdirSync(data),
    ...readdirSync(join(data, "store"), { recursive: true }),
  ]
    .map(String)
    .filter((name) => !/^farm\.lock|^inbox\/|^packs\/|^data-/.test(name))
    .sort();
}

/** A refused archive is cut off again; a thread's first task leaves it an empty pack. */
function appendedBytes(packs: string): number {
  const sizes = readdirSync(packs).map((name) => statSync(join(packs, name)).size - SEGMENT_HEADER_BYTES);
  return sizes.reduce((sum, size) => sum + Math.max(0, size), 0);
}

/** The refusal of one archive: at once where the request can tell, else as the end of the publish. Every other one asks to wait. */
async function refusal(
  farm: TestFarm,
  archive: HostileArchive,
): Promise<{ status: number; problem: Pick<Problem, "code" | "detail" | "params"> }> {
  const wait = rows.length % 2 === 0 ? { waitSeconds: 60 } : {};
  const answer = await publish<unknown>(farm, "hostile", archive.bytes(), wait);
  if (answer.status !== 202) {
    assert.match(String(answer.headers.get("content-type")), /^application\/problem\+json/, answer.text);
    return { status: answer.status, problem: answer.body as Problem };
  }
  const end = await ended(farm, (answer.body as { publish_id: string }).publish_id);
  assert.equal(end.state, "failed");
  assert.ok(end.error !== undefined);
  const { code, message, detail, status } = end.error;
  return { status, problem: { code, detail: message, params: detail } };
}

/** Rows that want the same limits, under the lines that set them. */
function groupByLimits(): Map<string, HostileArchive[]> {
  const groups = new Map<string, HostileArchive[]>();
  for (const archive of HOSTILE_ARCHIVES) {
    const entries = Object.entries(archive.limits ?? {}) as [keyof ArchiveLimits, number][];
    if (entries.length === 0 || entries.some(([key]) => SETTINGS[key] === undefined)) continue;
    const text = entries.map(([key, value]) => `${SETTINGS[key]} = ${value}`).join("\n");
    groups.set(text, [...(groups.get(text) ?? []), archive]);
  }
  return groups;
}
