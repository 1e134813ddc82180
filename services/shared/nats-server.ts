import { chmodSync, mkdirSync, readFileSync, realpathSync, renameSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { GranaryError } from "../../proto/errors.ts";
import { environment } from "./environment.ts";
import { checkNatsBinary, findNatsBinary } from "./nats-binary.ts";
import { type NatsPorts, natsConfig } from "./nats-config.ts";
import { natsIssuer, natsPublicKeys } from "./nats-keys.ts";
import { assertNatsFit } from "./nats-monitor.ts";
import { type NatsPaths, natsPaths } from "./nats-paths.ts";
import { type NatsProcess, startNatsProcess } from "./nats-process.ts";
import { stopProcess } from "./stop-process.ts";
import { setStreamAside } from "./unreadable-stream.ts";

/** What the supervisor reports; a pino logger fits. */
export interface NatsServerLog {
  info(detail: object, message: string): void;
  warn(detail: object, message: string): void;
}

export interface NatsServerOptions {
  /** The caller holds its lock (data-lock.ts): two servers on one folder would destroy it. */
  readonly dataDir: string;
  /** For clients; any free one when absent. */
  readonly port?: number | undefined;
  /** Default: {@link findNatsBinary} with this process's environment. */
  readonly binary?: string;
  readonly log: NatsServerLog;
  /** Called each time the server ended unexpectedly, with what ended it, e.g. `SIGKILL`. */
  readonly onDown?: (reason: string) => void;
}

type NatsState = "up" | "down";

/** An embedded nats-server: private, on loopback, durable, supervised. It keeps the process alive until `close`. */
export interface NatsServer {
  /** `nats://127.0.0.1:PORT`; stays the same across restarts. */
  readonly url: string;
  /** `http://127.0.0.1:PORT` with /healthz, /varz, /jsz; no authentication. */
  readonly monitorUrl: string;
  readonly version: string;
  /** Of the current run; of the last one while `state` is `down`. */
  readonly pid: number;
  readonly state: NatsState;
  /** Calls back on every change; returns what removes the listener. */
  onState(listener: (state: NatsState) => void): () => void;
  /** Ends the present run; the next one begins as after any other end. */
  restart(): Promise<void>;
  /** Ends the server and waits until it is gone. Repeating it is harmless. */
  close(): Promise<void>;
}

/**
 * Starts the server of a data folder and keeps it running: when it ends it is started again on the same ports, after
 * 100 ms at first and at most 5 s. One that was left over from a killed process is ended first.
 * A stream that it cannot read and that is made from the state is set aside.
 * @throws GranaryError NATS_MISSING or NATS_UNFIT (no binary, too old, not durable), UNAVAILABLE (it does not start)
 */
export async function startNatsServer(options: NatsServerOptions): Promise<NatsServer> {
  const binary = options.binary ? await checkNatsBinary(options.binary) : await findNatsBinary(environment());
  mkdirSync(options.dataDir, { recursive: true });
  // One name for one folder: a server left over is known by its configuration's path.
  const paths = natsPaths(realpathSync(options.dataDir));
  mkdirSync(paths.folder, { recursive: true });
  if (await sweepStaleServer(paths))
    options.log.warn({ folder: paths.folder }, "ended a nats-server that was left over");
  const abort = new AbortController();
  const listeners = new Set<(state: NatsState) => void>();

  const start = async (ports: NatsPorts): Promise<{ run: NatsProcess; version: string }> => {
    const keys = { users: natsPublicKeys(options.dataDir), issuer: natsIssuer(options.dataDir).publicKey };
    writeConfig(paths, natsConfig(paths, ports, keys));
    const startOptions = {
      binary: binary.path,
      paths,
      signal: abort.signal,
      startTimeoutMs: START_TIMEOUT_MS,
    };
    const run = await startReadable(startOptions, options.log);
    try {
      return { run, version: await assertNatsFit(monitorUrl(run.ports)) };
    } catch (error) {
      await run.stop(STOP_GRACE_MS);
      throw error;
    }
  };

  let { run, version } = await start({ client: options.port ?? -1, monitor: -1 });
  const { ports } = run;
  let state: NatsState = "up";
  const setState = (next: NatsState) => {
    state = next;
    for (const listener of listeners) listener(next);
  };

  let delayMs = MIN_BACKOFF_MS;
  const restart = async (): Promise<void> => {
    while (!abort.signal.aborted) {
      await sleep(delayMs, undefined, { signal: abort.signal }).catch(() => undefined);
      if (abort.signal.aborted) return;
      delayMs = Math.min(delayMs * 2, MAX_BACKOFF_MS);
      try {
        ({ run, version } = await start(ports));
        return;
      } catch (error) {
        if (!abort.signal.aborted)
          options.log.warn({ err: error, delayMs }, "nats-server did not come back yet");
      }
    }
  };

  const supervise = async (): Promise<void> => {
    for (;;) {
      const upSinceMs = performance.now();
      const reason = await run.exited;
      if (performance.now() - upSinceMs >= STABLE_MS) delayMs = MIN_BACKOFF_MS;
      if (abort.signal.aborted) return;
      options.log.warn({ reason }, "nats-server ended unexpectedly; restarting it");
      setState("down");
      options.onDown?.(reason);
      await restart();
      if (abort.signal.aborted) return;
      options.log.info({ pid: run.pid }, "nats-server is back");
      setState("up");
    }
  };
  const supervised = supervise();

  const close = async (): Promise<void> => {
    abort.abort();
    // During a restart `run` may still change: wait for that, then end what is there.
    if (state === "up") await run.stop(STOP_GRACE_MS);
    await supervised;
    await run.stop(STOP_GRACE_MS);
    state = "down";
  };
  let closed: Promise<void> | undefined;

  options.log.info({ version, binary: binary.path, pid: run.pid, port: ports.client }, "nats-server is up");
  return {
    url: `nats://127.0.0.1:${ports.client}`,
    monitorUrl: monitorUrl(ports),
    get version() {
      return version;
    },
    get pid() {
      return run.pid;
    },
    get state() {
      return state;
    },
    onState(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    restart: async () => {
      if (state === "up") await run.stop(STOP_GRACE_MS);
    },
    close() {
      closed ??= close();
      return closed;
    },
  };
}

/** @throws GranaryError as {@link startNatsProcess}; STATE_BEHIND when a stream cannot be read that cannot be made anew */
async function startReadable(
  options: Parameters<typeof startNatsProcess>[0],
  log: NatsServerLog,
): Promise<NatsProcess> {
  for (;;) {
    try {
      return await startNatsProcess(options);
    } catch (error) {
      const stream = error instanceof GranaryError ? error.detail["unreadable"] : undefined;
      if (typeof stream !== "string") throw error;
      const kept = setStreamAside(options.paths, stream);
      log.warn({ stream, kept }, "nats-server could not read a stream: it is made anew from the state");
    }
  }
}

const START_TIMEOUT_MS = 60_000;
const STOP_GRACE_MS = 10_000;
const MIN_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 5_000;
/** A run of at least this long starts the back-off anew. */
const STABLE_MS = 10_000;

function monitorUrl(ports: NatsPorts): string {
  return `http://127.0.0.1:${ports.monitor}`;
}

function writeConfig(paths: NatsPaths, text: string): void {
  const draft = `${paths.config}.new`;
  writeFileSync(draft, text, { mode: 0o600 });
  chmodSync(draft, 0o600);
  renameSync(draft, paths.config);
}

/** Ends the server of a process that was killed together with its guard, known by its configuration's path. */
async function sweepStaleServer(paths: NatsPaths): Promise<boolean> {
  let text: string;
  try {
    text = readFileSync(paths.pidFile, "utf8");
  } catch {
    return false;
  }
  const pid = Number(text);
  return Number.isSafeInteger(pid) && pid > 1 ? stopProcess(pid, paths.config, STOP_GRACE_MS) : false;
}
