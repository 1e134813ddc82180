import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { GranaryError } from "../../proto/errors.ts";
import type { NatsPorts } from "./nats-config.ts";
import { natsHealth } from "./nats-monitor.ts";
import type { NatsPaths } from "./nats-paths.ts";
import { guardAgainstOrphan } from "./orphan-guard.ts";
import { unreadableStream } from "./unreadable-stream.ts";

/** One run of the server, from spawn to exit. */
export interface NatsProcess {
  readonly pid: number;
  readonly ports: NatsPorts;
  /** Resolves with what ended it, e.g. `code 1` or `SIGKILL`; never rejects. */
  readonly exited: Promise<string>;
  /** SIGTERM, SIGKILL after the grace; resolves when it is gone. */
  stop(graceMs: number): Promise<void>;
}

interface StartOptions {
  readonly binary: string;
  readonly paths: NatsPaths;
  /** Aborts the wait and ends the process. */
  readonly signal: AbortSignal;
  /** Recovering a large command log takes a while. */
  readonly startTimeoutMs: number;
}

/**
 * Starts the server with the configuration at `paths.config` and waits until it is healthy. It runs in a session of its
 * own, so that a terminal's Ctrl-C reaches it only through our ordered shutdown, and under a guard that ends it when we
 * die.
 * @throws GranaryError UNAVAILABLE with the server's last words when it ends, hangs or is aborted; with `unreadable` in its detail when
 *   that is a stream which it cannot read
 */
export async function startNatsProcess(options: StartOptions): Promise<NatsProcess> {
  const { paths } = options;
  rmSync(paths.portsFolder, { recursive: true, force: true });
  mkdirSync(paths.portsFolder, { recursive: true });
  const { child, pid } = spawnServer(options.binary, paths);
  const guard = guardAgainstOrphan(pid, paths.config);
  const exited = new Promise<string>((resolve) => {
    child.once("exit", (code, signal) => {
      guard.close();
      forgetPid(paths);
      resolve(signal ?? `code ${code}`);
    });
  });
  const stop = async (graceMs: number): Promise<void> => {
    guard.close();
    child.kill("SIGTERM");
    const kill = setTimeout(() => child.kill("SIGKILL"), graceMs);
    await exited;
    clearTimeout(kill);
  };
  const deadlineMs = performance.now() + options.startTimeoutMs;
  while (child.exitCode === null && child.signalCode === null) {
    const ports = readPorts(paths, pid);
    const health = ports && (await natsHealth(`http://127.0.0.1:${ports.monitor}`));
    if (ports && health === "ok") return { pid, ports, exited, stop };
    // It has its ports when it has tried all streams.
    const unreadable = unreadableStream(health ?? "");
    if (unreadable !== undefined) {
      await stop(STOP_UNREADY_MS);
      throw new GranaryError("UNAVAILABLE", `nats-server cannot read its stream ${unreadable}`, {
        unreadable,
      });
    }
    if (options.signal.aborted || performance.now() > deadlineMs) {
      await stop(0);
      break;
    }
    await sleep(POLL_MS);
  }
  const detail = { ended: await exited, said: lastWords(paths) };
  throw new GranaryError("UNAVAILABLE", `nats-server did not start: ${detail.said || detail.ended}`, detail);
}

const POLL_MS = 15;
const STOP_UNREADY_MS = 5_000;

/** On a disk that has failed the file stays; a pid that runs something else by then is known by its command line. */
function forgetPid(paths: NatsPaths): void {
  try {
    rmSync(paths.pidFile, { force: true });
  } catch {
    // Thrown here, behind an event, it would end the process before its parts are closed.
  }
}

function spawnServer(binary: string, paths: NatsPaths): { child: ChildProcess; pid: number } {
  const output = openSync(paths.startLog, "w");
  try {
    const child = spawn(binary, ["--config", paths.config], {
      detached: true,
      stdio: ["ignore", output, output],
      cwd: paths.folder,
      env: {},
    });
    if (child.pid === undefined) {
      child.once("error", () => undefined);
      throw new GranaryError("NATS_MISSING", `${binary} cannot be run`, { file: binary });
    }
    writeFileSync(paths.pidFile, String(child.pid));
    return { child, pid: child.pid };
  } finally {
    closeSync(output);
  }
}

const PORTS_FILE = z.object({ nats: z.array(z.url()), monitoring: z.array(z.url()) });

/** The server writes `<program>_<pid>.ports` once it listens; a file that is not whole yet counts as none. */
function readPorts(paths: NatsPaths, pid: number): NatsPorts | undefined {
  const name = readdirSync(paths.portsFolder).find((file) => file.endsWith(`_${pid}.ports`));
  if (!name) return undefined;
  try {
    const { nats, monitoring } = PORTS_FILE.parse(
      JSON.parse(readFileSync(path.join(paths.portsFolder, name), "utf8")),
    );
    const port = (urls: readonly string[]) => Number(new URL(urls[0] ?? "").port);
    return { client: port(nats), monitor: port(monitoring) };
  } catch {
    return undefined;
  }
}

/** The last line of its log, or of what it said before it had one. */
function lastWords(paths: NatsPaths): string {
  for (const file of [paths.startLog, paths.log]) {
    try {
      const line = readFileSync(file, "utf8").trim().split("\n").at(-1);
      if (line) return line;
    } catch {
      // Not written yet.
    }
  }
  return "";
}
