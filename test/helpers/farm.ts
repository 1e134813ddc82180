import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const CLI = fileURLToPath(new URL("../../services/cli/main.js", import.meta.url));
const START_LIMIT_MS = 60_000;

/** A real farm in a process of its own: `granary up` on free ports, as a user starts it. */
export interface TestFarm {
  readonly url: string;
  readonly registry: string;
  readonly token: string;
  readonly data: string;
  readonly pid: number;
  readonly process: ChildProcess;
  /** Everything that the farm has logged so far. */
  log(): string;
  fetch(path: string, init?: RequestInit & { token?: string }): Promise<Response>;
  json<T>(path: string, init?: RequestInit & { token?: string }): Promise<T>;
  /** SIGTERM and wait. @returns the exit code @throws when it died of a signal instead */
  stop(): Promise<number | null>;
  /** SIGKILL and wait. */
  kill(): Promise<void>;
}

export function tempDir(name: string): string {
  return mkdtempSync(join(tmpdir(), `granary-test-${name}-`));
}

const running = new Set<ChildProcess>();

/** Removes a test's folder; farms that a failed test left running are killed first, or they would keep the test run alive. */
export function removeDir(path: string): void {
  for (const child of running) child.kill("SIGKILL");
  rmSync(path, { recursive: true, force: true });
}

/** Starts a farm on `data`, which a later one may take over, or single roles of one. @param args more of `granary up` */
export async function startTestFarm(options: {
  data: string;
  /** One that an earlier farm had; any free one when absent. */
  port?: string;
  roles?: readonly string[];
  args?: readonly string[];
  env?: NodeJS.ProcessEnv;
}): Promise<TestFarm> {
  const env = {
    ...process.env,
    XDG_CONFIG_HOME: join(options.data, "..", "config"),
    GRANARY_LOG: "info",
    ...options.env,
  };
  const verb = options.roles === undefined ? ["up"] : ["serve", ...options.roles];
  const args = [
    CLI,
    ...verb,
    "--port",
    options.port ?? "0",
    "--data",
    options.data,
    "--json",
    ...(options.args ?? []),
  ];
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  child.once("exit", () => running.delete(child));
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => {
    log += chunk.toString("utf8");
  });
  const ready = await readyLine(child, () => log);
  const send: TestFarm["fetch"] = (path, { token = ready.token, headers, ...init } = {}) =>
    fetch(`${ready.url}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${token}`, ...(headers as Record<string, string>) },
    });
  return {
    ...ready,
    process: child,
    log: () => log,
    fetch: send,
    json: async <T>(path: string, init?: RequestInit & { token?: string }) => {
      const response = await send(path, init);
      const text = await response.text();
      if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
      return JSON.parse(text) as T;
    },
    stop: async () => {
      child.kill("SIGTERM");
      const code = await ended(child);
      if (code === null)
        throw new Error(`the farm died of ${child.signalCode} while it shut down:\n${log.slice(-4_000)}`);
      return code;
    },
    kill: async () => {
      child.kill("SIGKILL");
      await ended(child);
    },
  };
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return child.exitCode;
}

type Ready = Pick<TestFarm, "url" | "registry" | "token" | "data" | "pid">;

async function readyLine(child: ChildProcess, log: () => string): Promise<Ready> {
  if (child.stdout === null) throw new Error("no standard output");
  const lines = createInterface({ input: child.stdout });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`the farm was not ready in ${START_LIMIT_MS} ms:\n${log()}`)),
      START_LIMIT_MS,
    );
  });
  const gone = once(child, "exit").then(([code]) =>
    Promise.reject(new Error(`the farm ended with ${code} before it was ready:\n${log()}`)),
  );
  try {
    const [line] = (await Promise.race([once(lines, "line"), gone, late])) as [string];
    const ready = JSON.parse(line) as Ready & { ready?: boolean };
    if (ready.ready !== true) throw new Error(`the farm did not start: ${line}\n${log()}`);
    return ready;
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  } finally {
    clearTimeout(timer);
    gone.catch(() => undefined);
  }
}

/** Pid of the embedded nats-server of a data folder. */
export function natsPid(data: string): number {
  return Number(readFileSync(join(data, "nats", "nats-server.pid"), "utf8"));
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Polls until `check` answers something. @throws when it does not in `limitMs` */
export async function eventually<T>(
  check: () => Promise<T | undefined> | T | undefined,
  limitMs: number,
  what: string,
): Promise<T> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const value = await check();
    if (value !== undefined) return value;
    if (Date.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
