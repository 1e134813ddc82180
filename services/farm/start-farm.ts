import { setMaxListeners } from "node:events";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command, CommandResult } from "../../proto/commands.ts";
import type { FarmSettings, Role } from "../../proto/settings.ts";
import { WorkerPool } from "../../workers/pool.ts";
import { BusSubscribers } from "../api/bus-subscribers.ts";
import { apiRoutes } from "../api/routes.ts";
import { sendWebhook } from "../hooks/send-webhook.ts";
import { startHooks } from "../hooks/start-hooks.ts";
import { GarbageCollector } from "../node/garbage-collector.ts";
import { Scrubber } from "../node/scrubber.ts";
import { nodeThreads, startNode } from "../node/start-node.ts";
import { registryRoutes } from "../registry/routes.ts";
import { createBarrier } from "../shared/barrier.ts";
import { type Bus, connectBus } from "../shared/bus.ts";
import { openBusGate } from "../shared/bus-gate.ts";
import { confirmHead } from "../shared/confirm-head.ts";
import { lockDataDir } from "../shared/data-lock.ts";
import { closeHttpServer, createHttpServer, type TlsFiles } from "../shared/http-server.ts";
import type { Log } from "../shared/log.ts";
import { makeFolder } from "../shared/make-folder.ts";
import { natsCredentials, natsIssuer } from "../shared/nats-keys.ts";
import { assertNatsFit } from "../shared/nats-monitor.ts";
import { natsPaths } from "../shared/nats-paths.ts";
import { type NatsServer, startNatsServer } from "../shared/nats-server.ts";
import { PublishLogs } from "../shared/publish-logs.ts";
import { type Replica, startReplica } from "../shared/replica.ts";
import { refuseUnfinishedRestore } from "../shared/restore-folder.ts";
import { Roots } from "../shared/roots.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { createSubmit } from "../shared/submit-command.ts";
import { secretBox } from "../shared/webhook-secrets.ts";
import { resolveHost } from "../shared/webhook-target.ts";
import { ensureAdminToken } from "./admin-token.ts";
import { type DiskGuard, startDiskGuard } from "./disk-guard.ts";
import { listen } from "./listen.ts";
import { openFarmStore } from "./open-store.ts";
import { failureOf, problemsOf } from "./problems.ts";
import { readTls } from "./read-tls.ts";
import { assertConfirmed, refuseWhenStale } from "./refuse-when-stale.ts";
import { Shutdown } from "./shutdown.ts";
import { trimLog } from "./trim-log.ts";

/** A running process of a farm. */
export interface Farm {
  readonly url: string;
  readonly registry: string;
  readonly token: string;
  readonly tokenFile: string;
  readonly nats: string;
  readonly data: string;
  /** Resolves when a part failed for good and the process must end. */
  readonly failed: Promise<Error>;
  /** Ordered: no new requests, jobs finished or handed back, log and store closed, nats-server last. */
  close(): Promise<void>;
}

/** What the parts share. */
interface Parts {
  readonly settings: FarmSettings;
  readonly tls: TlsFiles | undefined;
  readonly dataDir: string;
  readonly log: Log;
  readonly natsUrl: string;
  readonly server: NatsServer | undefined;
  readonly replica: Replica;
  readonly shutdown: Shutdown;
}

const CLOSE_LIMIT_MS = 25_000;
/** Requests in flight at shutdown get this long; an upload that is cut off was not accepted. */
const HTTP_GRACE_MS = 10_000;
const PROGRAM_VERSION: string = readVersion();

interface StartOptions {
  readonly settings: FarmSettings;
  readonly roles: ReadonlySet<Role>;
  readonly log: Log;
  /** Rejects when the process is to end: then nothing that may last is waited for. */
  readonly abandoned: Promise<never>;
}

/**
 * Starts the parts in the order in which they depend on each other and answers when all of them work; what was started is closed
 * again when a later one fails.
 */
export async function startFarm(options: StartOptions): Promise<Farm> {
  const shutdown = new Shutdown({ log: options.log, limitMs: CLOSE_LIMIT_MS });
  try {
    return await startParts({ ...options, shutdown });
  } catch (error) {
    await shutdown.run();
    throw error;
  }
}

async function startParts(options: StartOptions & { shutdown: Shutdown }): Promise<Farm> {
  const { settings, roles, log, shutdown } = options;
  const tls = readTls(settings);
  const dataDir = resolve(settings.data);
  makeFolder(dataDir);
  const lock = await lockDataDir(dataDir);
  shutdown.add("data lock", () => lock.release());
  refuseUnfinishedRestore(dataDir);

  const server =
    settings.nats === undefined
      ? await startNatsServer({ dataDir, log, port: settings.natsPort })
      : undefined;
  if (server !== undefined) shutdown.add("nats-server", () => server.close());
  else await checkExternalNats(settings, log);
  const natsUrl = settings.nats ?? server?.url ?? "";

  const replica = await startReplica({
    dir: join(dataDir, "state"),
    bus: {
      servers: natsUrl,
      credentials: natsCredentials(dataDir, replicaRole(roles)),
      name: `${settings.node}/pointer`,
    },
    relay: roles.has("pointer"),
    eventsKeepMs: settings.eventsKeepMs,
    log,
    snapshots: { dir: join(dataDir, "snapshots"), ...settings.snapshots },
  });
  shutdown.add("pointer", () => replica.close());
  if (server !== undefined)
    shutdown.add(
      "log trimming",
      trimLog({
        replica,
        log,
        keep: settings.snapshots.keep,
        connect: () => connectAdmin(settings, dataDir, natsUrl),
      }),
    );
  // For ever, where no process makes the log.
  await Promise.race([replica.ready, options.abandoned]);

  const parts: Parts = { settings, tls, dataDir, log, natsUrl, server, replica, shutdown };
  const api = await connectRole(parts, roles.has("api") || !roles.has("hooks") ? "api" : "hooks");
  const disk = startDiskGuard({
    dir: dataDir,
    server,
    ...(server !== undefined && { logDir: natsPaths(dataDir).folder }),
    log,
    isSuspect: () => !replica.health().up,
  });
  shutdown.add("disk guard", async () => disk.close());
  const append = createSubmit({ bus: api, replica });
  const submit = async (command: Command): Promise<CommandResult> => {
    disk.assertRoomForCommand();
    try {
      return await append(command);
    } catch (error) {
      // Its log may be on a disk that has failed.
      disk.probe();
      throw error;
    }
  };
  const read = <T>(body: (view: StateView) => T): T => replica.read(body);
  if (roles.has("hooks")) await startDeliveries(parts, { read, submit });
  // Who answers no requests hands out no token.
  const admin = roles.has("api")
    ? await ensureAdminToken({ dataDir, read, submit })
    : { token: "", file: "" };
  const base = { token: admin.token, tokenFile: admin.file, nats: natsUrl, data: dataDir };
  if (!roles.has("api"))
    return {
      ...base,
      url: "",
      registry: "",
      failed: failureOf(replica, disk),
      close: () => shutdown.run(),
    };
  const content = await startContent({ parts, read, submit, api, disk });
  return { ...base, ...content, close: () => shutdown.run() };
}

/** Each process that serves a role applies the log with a key of that role. */
function replicaRole(roles: ReadonlySet<Role>): "pointer" | "api" | "hooks" {
  if (roles.has("pointer")) return "pointer";
  return roles.has("api") || !roles.has("hooks") ? "api" : "hooks";
}

async function startDeliveries(
  parts: Parts,
  state: {
    read: <T>(body: (view: StateView) => T) => T;
    submit: (command: Command) => Promise<CommandResult>;
  },
): Promise<void> {
  const { settings, dataDir, log, replica, shutdown } = parts;
  const bus = await connectRole(parts, "hooks");
  const target = { allowPrivate: settings.webhookAllowPrivate, resolve: resolveHost, now: Date.now };
  const hooks = startHooks(
    {
      ...state,
      hooks: bus.hooks,
      secrets: secretBox(dataDir),
      log,
      replica,
      now: Date.now,
      random: Math.random,
      send: (message, signal) => sendWebhook(message, { ...target, signal }),
    },
    { alone: parts.server !== undefined },
  );
  shutdown.add("webhooks", () => hooks.close());
}

/** Store, worker threads, job loop, HTTP: what a process that holds content runs. */
async function startContent(options: {
  parts: Parts;
  read: <T>(body: (view: StateView) => T) => T;
  submit: (command: Command) => Promise<CommandResult>;
  api: Bus;
  disk: DiskGuard;
}): Promise<Pick<Farm, "url" | "registry" | "failed">> {
  const { parts, read, submit } = options;
  const { settings, log, replica, shutdown } = parts;
  const store = await openFarmStore({ dataDir: parts.dataDir, log });
  shutdown.add("store", () => store.close());
  const pool = new WorkerPool({
    threads: nodeThreads({ read, settings }),
    workerData: store.workerData(),
    reclaim: (cell) =>
      store.reclaim(cell).catch((error: unknown) => {
        log.warn({ err: error }, "what a task left when its thread died stays until the next start");
      }),
  });
  shutdown.add("worker threads", () => pool.close());
  const roots = new Roots({ dir: join(parts.dataDir, "roots"), pool });
  const jobs = await connectRole(parts, "node");
  if (parts.server !== undefined) await releaseJobs(parts);
  const publishLogs = new PublishLogs();
  const node = await startNode({
    publishLogs,
    settings,
    store,
    pool,
    roots,
    jobs: jobs.publishJobs,
    replica,
    log,
    read,
    submit,
    version: PROGRAM_VERSION,
  });
  shutdown.add("jobs", () => node.close());

  const garbage = new GarbageCollector({
    store,
    settings: settings.gc,
    log,
    read,
    confirm: () => confirmHead({ bus: jobs, replica }),
    now: Date.now,
  });
  shutdown.add("garbage collection", () => garbage.close());
  garbage.start();
  const scrubber = new Scrubber({
    store,
    settings: settings.scrub,
    file: join(parts.dataDir, "scrub.json"),
    log,
    now: Date.now,
  });
  shutdown.add("scrub", () => scrubber.close());
  scrubber.start();

  const subscribers = await admitSubscribers(parts, read);
  const { tls } = parts;
  const http = createHttpServer({ log, tls });
  const closing = new AbortController();
  // One listener per feed and long poll.
  setMaxListeners(0, closing.signal);
  const problems = (): string[] =>
    problemsOf({ parts, store, disk: options.disk, closing: closing.signal.aborted });
  let address = "";
  const context = {
    store,
    dataDir: parts.dataDir,
    pool,
    publishLogs,
    roots,
    read,
    replica,
    submit,
    assertConfirmed: () => (parts.server === undefined ? assertConfirmed(replica) : undefined),
    assertRoom: (bytes?: number) => options.disk.assertRoomForUpload(bytes),
    barrier: createBarrier({ bus: options.api, replica }),
    log,
    limits: settings.limits,
    oidcIssuers: settings.oidcIssuers,
    version: PROGRAM_VERSION,
    now: Date.now,
    url: () => `${tls === undefined ? "http" : "https"}://${address}`,
    publicName: () => settings.publicName ?? address,
    problems,
    nodes: () => [node.describe()],
    collectGarbage: (request: { dryRun: boolean; graceMs: number }) =>
      garbage.collect({ ...request, signal: closing.signal }),
    lastGc: () => garbage.last,
    scrub: () => scrubber.status,
    gc: settings.gc,
    closing: closing.signal,
    // Whatever else the farm's own URL says is not for subscribers.
    bus: {
      url: settings.publicNats ?? parts.natsUrl.replace(/\/\/[^/]*@/, "//"),
      open: () => subscribers.open,
    },
    webhooks: {
      secrets: secretBox(parts.dataDir),
      target: { allowPrivate: settings.webhookAllowPrivate, resolve: resolveHost },
      deliveries: options.api.hooks.deliveries,
    },
  };
  if (parts.server === undefined) shutdown.add("staleness watch", refuseWhenStale(http, replica));
  apiRoutes(http, context);
  registryRoutes(http, context);
  address = await listen(http, settings);
  shutdown.add("http", async () => {
    closing.abort();
    await closeHttpServer(http, HTTP_GRACE_MS);
  });
  return {
    url: context.url(),
    registry: context.publicName(),
    failed: failureOf(store, replica, options.disk),
  };
}

/** Connections of orgs' subscribers to the bus: whoever serves the api decides about them. */
async function admitSubscribers(
  parts: Parts,
  read: <T>(body: (view: StateView) => T) => T,
): Promise<BusSubscribers> {
  const { settings, dataDir, log, natsUrl, replica, shutdown } = parts;
  const subscribers = new BusSubscribers({
    read,
    now: Date.now,
    random: Math.random,
    healthy: () => replica.health().up,
    log,
    open: (keeper) =>
      openBusGate({
        servers: natsUrl,
        credentials: natsCredentials(dataDir, "gate"),
        name: `${settings.node}/gate`,
        issuer: natsIssuer(dataDir),
        keeper,
      }),
  });
  shutdown.add("bus subscribers", () => subscribers.close());
  return subscribers.ready();
}

async function connectRole(parts: Parts, role: "api" | "node" | "hooks"): Promise<Bus> {
  const bus = await connectBus({
    servers: parts.natsUrl,
    credentials: natsCredentials(parts.dataDir, role),
    name: `${parts.settings.node}/${role}`,
  });
  parts.shutdown.add(`bus (${role})`, () => bus.close());
  return bus;
}

/** With a nats-server of its own this is the only node: whatever its last run held is free to be handed out again. */
async function releaseJobs(parts: Parts): Promise<void> {
  const bus = await connectAdmin(parts.settings, parts.dataDir, parts.natsUrl);
  await bus.publishJobs.releaseAll();
  await bus.close();
}

/** For single steps that no ordinary role may take. */
function connectAdmin(settings: FarmSettings, dataDir: string, natsUrl: string): Promise<Bus> {
  const credentials = natsCredentials(dataDir, "admin");
  return connectBus({ servers: natsUrl, credentials, name: `${settings.node}/admin` });
}

/** An external NATS answers for its own durability; with its monitoring URL that is checked, without it said aloud. */
async function checkExternalNats(settings: FarmSettings, log: Log): Promise<void> {
  if (settings.natsMonitor !== undefined) await assertNatsFit(settings.natsMonitor);
  else
    log.warn(
      { nats: settings.nats },
      "durability of the external NATS is not checked: set nats_monitor; it needs sync_interval: always",
    );
}

function readVersion(): string {
  const manifest: unknown = JSON.parse(
    readFileSync(new URL("../../../package.json", import.meta.url), "utf8"),
  );
  return String((manifest as { version?: unknown }).version);
}
