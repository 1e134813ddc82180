import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { cpus, release, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import type { PublishJson } from "../../proto/http.ts";
import { startTestFarm, type TestFarm } from "../helpers/farm.ts";
import { type Corpus, nodeModulesCorpus } from "./corpus.ts";
import { farmCpu } from "./farm-cpu.ts";
import { measureHaveWant } from "./have-want.ts";
import { measureLoad } from "./load.ts";

/**
 * `npm run bench`: publishes of a real tree to a real farm, side by side with `tar xzf` of the same archive, in one run. Medians and
 * spread of ROUNDS, each round on fresh folders (deleting between rounds would flatter us against tar: see performance notes).
 */
const ROUNDS = 7;
const folder = mkdtempSync(join(tmpdir(), "granary-bench-"));

interface Row {
  readonly name: string;
  readonly medianMs: number;
  readonly spreadMs: number;
  /** Median of `tar xzf` on the same archives divided by ours: above 1 we are faster. */
  readonly timesTar: number | undefined;
}

try {
  const corpus = nodeModulesCorpus(join(folder, "corpus"));
  const changed = Array.from({ length: ROUNDS }, (_, round) => corpus.changed(round));
  const tarCold = repeat((round) => untar(corpus.archive, join(folder, `tar-cold-${round}`)));
  const tarWarm = repeat((round) => untar(changed[round] ?? "", join(folder, `tar-warm-${round}`)));
  const { cold, coldCpuMs } = await measureCold(corpus);
  const { warm, warmCpuMs, identical, announced, small, activate } = await measureWarm(corpus, changed);
  const directory = await measureHaveWant({ folder, tree: join(folder, "corpus", "tree") });
  const load = await measureLoad({ folder, archives: changed });
  const rows: Row[] = [
    row("tar xzf, the archive", tarCold),
    row("tar xzf, 1 % changed", tarWarm),
    row("publish cold, over HTTP, accepted to ready", cold, tarCold),
    row("publish warm (1 % changed), over HTTP", warm, tarWarm),
    row("publish identical archive, same commit", identical, tarCold),
    row("the same, its digest announced (no content sent)", announced, tarCold),
    row("publish a small app (3 files)", small),
    row("activate", activate),
    row("publish by listing, warm (1 % changed), over HTTP", [directory.wallMs], tarWarm),
  ];
  report(corpus, rows);
  process.stdout.write(
    `\nPublish by listing: ${directory.serverCpuMs.toFixed(0)} ms CPU of the farm, ${directory.requests} requests, ${directory.wireBytes} bytes sent ` +
      `(${directory.wireRatio.toFixed(2)} x changed bytes and listing).\n` +
      `CPU of the farm for an archive: ${coldCpuMs.toFixed(0)} ms cold, ${warmCpuMs.toFixed(0)} ms warm.\n` +
      `Two threads, never idle: ${load.largePerSecond.toFixed(1)} warm archives/s, xargs -P2 tar xzf ${load.tarPerSecond.toFixed(1)}/s ` +
      `(${(load.largePerSecond / load.tarPerSecond).toFixed(2)} x); small publishes, 32 at once: ${load.small.perSecond.toFixed(0)}/s, ` +
      `p50 ${load.small.p50Ms.toFixed(0)} ms, p99 ${load.small.p99Ms.toFixed(0)} ms.\n`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function repeat(run: (round: number) => number): number[] {
  return Array.from({ length: ROUNDS }, (_, round) => run(round));
}

function untar(archive: string, target: string): number {
  mkdirSync(target, { recursive: true });
  const startedMs = performance.now();
  execFileSync("tar", ["xzf", archive, "-C", target]);
  return performance.now() - startedMs;
}

/** Every round on a farm that has never seen the content; one small publish before it warms the threads, not the store. */
async function measureCold(corpus: Corpus): Promise<{ cold: number[]; coldCpuMs: number }> {
  const times: number[] = [];
  const cpuMs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const farm = await startTestFarm({
      data: join(folder, `cold-${round}`, "data"),
      env: { GRANARY_LOG: "error" },
    });
    await publishSmall(farm, 0);
    const before = farmCpu(farm).farm;
    times.push(await publish(farm, "app", readFileSync(corpus.archive), round));
    cpuMs.push(farmCpu(farm).farm - before);
    await farm.stop();
  }
  return { cold: times, coldCpuMs: median(cpuMs) };
}

async function measureWarm(
  corpus: Corpus,
  changed: readonly string[],
): Promise<
  Record<"warm" | "identical" | "announced" | "small" | "activate", number[]> & { warmCpuMs: number }
> {
  const farm = await startTestFarm({ data: join(folder, "warm", "data"), env: { GRANARY_LOG: "error" } });
  const base = readFileSync(corpus.archive);
  await publish(farm, "app", base, 1_000);
  const warm: number[] = [];
  const cpuBefore = farmCpu(farm).farm;
  for (const [round, archive] of changed.entries())
    warm.push(await publish(farm, "app", readFileSync(archive), round));
  const warmCpuMs = (farmCpu(farm).farm - cpuBefore) / changed.length;
  const identical: number[] = [];
  const announced: number[] = [];
  const small: number[] = [];
  const activate: number[] = [];
  for (let round = 0; round < ROUNDS * 3; round++) {
    identical.push(await publish(farm, "app", base, 1_000));
    announced.push(await announce(farm, "app", base, 1_000));
    small.push(await publishSmall(farm, round));
    const startedMs = performance.now();
    await farm.json("/v1/orgs/default/projects/app/activations", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ version: (round % 2) + 1 }),
    });
    activate.push(performance.now() - startedMs);
  }
  await farm.stop();
  return { warm, warmCpuMs, identical, announced, small, activate };
}

function publishSmall(farm: TestFarm, round: number): Promise<number> {
  const source = join(folder, `small-${round}-${Math.round(performance.now())}`);
  mkdirSync(source, { recursive: true });
  for (const name of ["app.py", "karta.toml", "README.md"])
    writeFileSync(join(source, name), `# ${name} ${round}\n`);
  return publish(farm, "small", execFileSync("tar", ["czf", "-", "-C", source, "."]), 2_000 + round);
}

async function publish(farm: TestFarm, project: string, body: Buffer, commit: number): Promise<number> {
  const startedMs = performance.now();
  const path = `/v1/orgs/default/projects/${project}/publishes?commit=${(0x1000000 + commit).toString(16)}`;
  const answer = await farm.json<PublishJson>(path, { method: "POST", body, headers: { prefer: "wait=60" } });
  const tookMs = performance.now() - startedMs;
  if (answer.state !== "ready")
    throw new Error(`publish ended as ${answer.state}: ${JSON.stringify(answer.error)}`);
  return tookMs;
}

/** What the CLI does with an archive file: its head first, its content only when the farm asks for it. */
async function announce(farm: TestFarm, project: string, body: Buffer, commit: number): Promise<number> {
  const digest = createHash("sha256").update(body).digest("base64");
  const startedMs = performance.now();
  const path = `/v1/orgs/default/projects/${project}/publishes?commit=${(0x1000000 + commit).toString(16)}`;
  const sending = request(`${farm.url}${path}`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${farm.token}`,
      "content-length": body.byteLength,
      "content-digest": `sha-256=:${digest}:`,
      expect: "100-continue",
    },
  });
  sending.flushHeaders();
  const [answer] = (await once(sending, "response")) as [IncomingMessage];
  answer.resume();
  await once(answer, "end");
  sending.destroy();
  if (answer.statusCode !== 200) throw new Error(`an announced archive was answered ${answer.statusCode}`);
  return performance.now() - startedMs;
}

function row(name: string, times: readonly number[], tar?: readonly number[]): Row {
  const medianMs = median(times);
  return {
    name,
    medianMs,
    spreadMs: Math.max(...times) - Math.min(...times),
    timesTar: tar === undefined ? undefined : median(tar) / medianMs,
  };
}

function median(times: readonly number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function report(corpus: Corpus, rows: readonly Row[]): void {
  const machine = `${cpus().length} x ${cpus()[0]?.model ?? "cpu"}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.versions.node}`;
  const head = [
    `Corpus: ${corpus.name}: ${corpus.files} files, ${megabytes(corpus.bytes)} (${megabytes(corpus.archiveBytes)} as tar.gz). ${ROUNDS} rounds, medians.`,
    `Machine: ${machine}.`,
    "",
    "| what | median ms | spread ms | x tar xzf |",
    "|---|---|---|---|",
  ];
  const lines = rows.map(
    (one) =>
      `| ${one.name} | ${one.medianMs.toFixed(1)} | ${one.spreadMs === 0 ? "" : one.spreadMs.toFixed(1)} | ${one.timesTar?.toFixed(2) ?? ""} |`,
  );
  process.stdout.write(`${[...head, ...lines].join("\n")}\n`);
  process.stdout.write(
    `${JSON.stringify({ corpus: { ...corpus, changed: undefined }, machine, rounds: ROUNDS, rows })}\n`,
  );
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
