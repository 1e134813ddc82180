import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Problem } from "../../proto/http.ts";
import { natsPaths } from "../shared/nats-paths.ts";

const CLI = fileURLToPath(new URL("../cli/main.js", import.meta.url));
const START_LIMIT_MS = 60_000;

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly tookMs: number;
}

/** A farm of its own, driven through the CLI as a user would. */
export interface DemoFarm {
  readonly url: string;
  readonly registry: string;
  readonly token: string;
  /** Runs `granary ARGS`; another exit code than these is an error. */
  run(args: readonly string[], options?: { codes?: readonly number[] }): Promise<CliResult>;
  runJson<T>(args: readonly string[]): Promise<T & { readonly tookMs: number }>;
  /** Ends a process as a crash does (SIGKILL), and answers when the farm is there again; it starts its nats-server again by itself. */
  crash(what: "farm" | "nats-server"): Promise<void>;
  close(): Promise<void>;
}

export async function startDemoFarm(options: { folder: string; env: NodeJS.ProcessEnv }): Promise<DemoFarm> {
  const config = join(options.folder, "config");
  mkdirSync(config, { recursive: true });
  const env: NodeJS.ProcessEnv = {
    ...options.env,
    XDG_CONFIG_HOME: config,
    GRANARY_LOG: "error",
    GRANARY_URL: undefined,
    GRANARY_TOKEN: undefined,
  };
  const data = join(options.folder, "data");
  const start = (port: string): ChildProcess =>
    spawn(process.execPath, [CLI, "up", "--port", port, "--data", data, "--json"], {
      env,
      stdio: ["ignore", "pipe", "inherit"],
    });
  let child = start("0");
  const ready = await readyLine(child);
  const clientEnv = { ...env, GRANARY_URL: ready.url, GRANARY_TOKEN: ready.token };
  const run: DemoFarm["run"] = async (verb, { codes = [0] } = {}) => {
    const result = await runCli(verb, clientEnv);
    if (!codes.includes(result.code))
      throw new Error(
        `granary ${verb.join(" ")} ended with ${result.code}: ${result.stderr || result.stdout}`,
      );
    return result;
  };
  return {
    ...ready,
    run,
    runJson: async <T>(verb: readonly string[]) => {
      const result = await run([...verb, "--json"]);
      return { ...(JSON.parse(result.stdout) as T), tookMs: result.tookMs };
    },
    crash: async (what) => {
      if (what === "nats-server") {
        process.kill(Number(readFileSync(natsPaths(data).pidFile, "utf8")), "SIGKILL");
        return;
      }
      await end(child, "SIGKILL");
      child = start(new URL(ready.url).port);
      await readyLine(child);
    },
    close: () => end(child, "SIGTERM"),
  };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  child.kill(signal);
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

interface Ready {
  readonly ready: true;
  readonly url: string;
  readonly registry: string;
  readonly token: string;
}

async function readyLine(child: ChildProcess): Promise<Ready> {
  if (child.stdout === null) throw new Error("the farm has no standard output");
  const lines = createInterface({ input: child.stdout });
  const first = once(lines, "line").then(([line]) => String(line));
  const ended = once(child, "exit").then(([code]) =>
    Promise.reject(new Error(`the farm ended with ${code} before it was ready`)),
  );
  const late = new Promise<never>((_, reject) =>
    setTimeout(() => reject(new Error("the farm was not ready in time")), START_LIMIT_MS).unref(),
  );
  try {
    const said = JSON.parse(await Promise.race([first, ended, late])) as Ready | Problem;
    // Without a farm of its own the demo would go on with whatever listens on the default port.
    if (!("ready" in said)) throw new Error(`the farm did not start: ${said.detail}. ${said.hint}`);
    return said;
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
}

async function runCli(args: readonly string[], env: NodeJS.ProcessEnv): Promise<CliResult> {
  const startedMs = performance.now();
  const child = spawn(process.execPath, [CLI, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  return { code: Number(code), stdout, stderr, tookMs: Math.round(performance.now() - startedMs) };
}

async function text(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
