import assert from "node:assert/strict";
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { Problem } from "../../proto/http.ts";
import { RECORD_OVERHEAD_BYTES, SEGMENT_HEADER_BYTES } from "../../store/pack-format.ts";
import { appArchive } from "./app-archive.ts";
import { eventually, removeDir, startTestFarm, type TestFarm, tempDir } from "./farm.ts";
import { ended, publish, publishReady, type StoreStat, storeStat } from "./farm-requests.ts";
import type { HostileArchive } from "./hostile-archive.ts";

/** Every archive is refused well within the time that one publish may take. */
const REFUSED_MS = 120_000;
const AT_ONCE = 6;
/** A log of a refusal is a few lines. */
const LOG_BYTES = 2_048;

const folder = tempDir("bad-archives");
after(() => removeDir(folder));

interface Row {
  readonly name: string;
  readonly code: string;
  readonly status: number;
  readonly ms: number;
}

const rows: Row[] = [];
after(() => {
  const width = Math.max(...rows.map(({ name }) => name.length));
  const slowest = [...rows].sort((a, b) => b.ms - a.ms)[0];
  for (const { name, code, status, ms } of rows)
    process.stdout.write(`# ${name.padEnd(width)} ${code.padEnd(32)} ${status} ${Math.round(ms)} ms\n`);
  process.stdout.write(
    `# ${rows.length} archives refused; the slowest took ${Math.round(slowest?.ms ?? 0)} ms (${slowest?.name})\n`,
  );
});

/** A farm of its own refuses each of them with its code, keeps nothing of it, and works on. @param config its settings, TOML */
export function refusesAll(title: string, archives: readonly HostileArchive[], config: string): void {
  describe(title, { concurrency: 1 }, () => {
    let farm: TestFarm;
    let before: Checked;

    test("the farm starts, and holds one honest release", async () => {
      const data = join(folder, `data-${title.replace(/[^a-z0-9]+/g, "-")}`);
      const file = `${data}.toml`;
      writeFileSync(file, config);
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
      await eventually(isClean, 30_000, "the inbox is empty");
      const { blobs, packed_bytes, appendedBytes, ...rest } = await checked(farm);
      const { blobs: _, packed_bytes: hadBytes, appendedBytes: hadAppended, ...had } = before;
      assert.deepEqual(rest, had);
      // Of a publish that failed, its log stays for a while: one small blob, and nothing else was appended.
      const logs = blobs - before.blobs;
      assert.ok(logs <= archives.length, `${logs} blobs more`);
      assert.equal(appendedBytes - hadAppended, packed_bytes - hadBytes + logs * RECORD_OVERHEAD_BYTES);
      assert.ok(packed_bytes - hadBytes <= logs * LOG_BYTES, `${packed_bytes - hadBytes} bytes of logs`);
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
    .filter((name) => !/^farm\.lock|^scrub\.json|^inbox\/|^packs\/|^data-/.test(name))
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
  return { status: end.error.status, problem: end.error };
}
