import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { appArchive } from "../helpers/app-archive.ts";
import { startTestFarm } from "../helpers/farm.ts";
import { publishReady } from "../helpers/farm-requests.ts";

export interface LoadResult {
  /** Archives of a large tree, 1 % changed in each, a second. */
  readonly largePerSecond: number;
  /** `xargs -P2 tar xzf` of the same archives. */
  readonly tarPerSecond: number;
  readonly small: SmallLoad;
}

interface SmallLoad {
  readonly perSecond: number;
  /** From the first byte of a request to its release. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Each archive is published to this many projects: the same content for the store, work of its own for the threads. */
const PROJECTS = 3;
const LARGE_AT_ONCE = 4;
const SMALL_PUBLISHES = 600;
const SMALL_AT_ONCE = 32;

/** What a farm does when it is never left alone, on two threads: large archives side by side with tar, then small ones. */
export async function measureLoad(options: {
  folder: string;
  archives: readonly string[];
}): Promise<LoadResult> {
  const data = join(options.folder, "load", "data");
  const farm = await startTestFarm({ data, args: ["--threads", "2"], env: { GRANARY_LOG: "error" } });
  try {
    const archives = options.archives.map((file) => readFileSync(file));
    await publishReady(farm, "warm-up", archives[0] ?? Buffer.alloc(0));
    const large = archives.flatMap((archive) =>
      Array.from({ length: PROJECTS }, (_, i) => () => publishReady(farm, `large-${i}`, archive)),
    );
    const largeMs = await inFlight(large, LARGE_AT_ONCE);
    const small = Array.from({ length: SMALL_PUBLISHES }, (_, i) => {
      const archive = appArchive({ "app.py": `app = ${i}\n`, "karta.toml": "", "README.md": `# ${i}\n` });
      return () => publishReady(farm, `small-${i % 8}`, archive);
    });
    await inFlight(small.slice(0, SMALL_PUBLISHES / 6), SMALL_AT_ONCE);
    const counted = small.slice(SMALL_PUBLISHES / 6);
    const times: number[] = [];
    const smallMs = await inFlight(
      counted.map((one) => async () => {
        const startedMs = performance.now();
        await one();
        times.push(performance.now() - startedMs);
      }),
      SMALL_AT_ONCE,
    );
    times.sort((a, b) => a - b);
    return {
      largePerSecond: (1000 * large.length) / largeMs,
      tarPerSecond: untarAll(options, large.length),
      small: {
        perSecond: (1000 * counted.length) / smallMs,
        p50Ms: times[Math.floor(times.length / 2)] ?? Number.NaN,
        p99Ms: times[Math.floor(times.length * 0.99)] ?? Number.NaN,
      },
    };
  } finally {
    await farm.stop();
  }
}

/** Runs all of them, `limit` at a time. @returns ms */
async function inFlight(tasks: readonly (() => Promise<unknown>)[], limit: number): Promise<number> {
  const startedMs = performance.now();
  let next = 0;
  const work = async (): Promise<void> => {
    for (let task = tasks[next++]; task !== undefined; task = tasks[next++]) await task();
  };
  await Promise.all(Array.from({ length: limit }, work));
  return performance.now() - startedMs;
}

function untarAll(
  { folder, archives }: { folder: string; archives: readonly string[] },
  count: number,
): number {
  const lines = Array.from({ length: count }, (_, i) => {
    const target = join(folder, "load", `tar-${i}`);
    mkdirSync(target, { recursive: true });
    return `${archives[i % archives.length]} ${target}`;
  });
  const startedMs = performance.now();
  execFileSync("xargs", ["-P2", "-n2", "sh", "-c", 'tar xzf "$0" -C "$1"'], { input: lines.join("\n") });
  return (1000 * count) / (performance.now() - startedMs);
}
