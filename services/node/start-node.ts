import { statfsSync } from "node:fs";
import type { Command, CommandResult } from "../../proto/commands.ts";
import type { NodeJson } from "../../proto/http.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { FarmSettings } from "../../proto/settings.ts";
import type { Store } from "../../store/store.ts";
import type { WorkerPool } from "../../workers/pool.ts";
import type { JobQueue } from "../shared/bus-jobs.ts";
import type { Log } from "../shared/log.ts";
import type { PublishLogs } from "../shared/publish-logs.ts";
import type { Replica } from "../shared/replica.ts";
import type { Roots } from "../shared/roots.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { findNode, listBacklogs } from "../shared/state-queries.ts";
import { PublishHandler } from "./handle-publish.ts";
import { JobLoop } from "./job-loop.ts";
import { reconcileInbox } from "./reconcile-inbox.ts";
import { reconcileRoots } from "./reconcile-roots.ts";

/** At shutdown running jobs get this long; then they are handed back to the queue at once. */
const DRAIN_MS = 15_000;
const RECONCILE_INTERVAL_MS = 10 * 60_000;

export interface NodeOptions {
  readonly settings: FarmSettings;
  readonly store: Store;
  readonly pool: WorkerPool;
  readonly roots: Roots;
  readonly jobs: JobQueue;
  readonly replica: Replica;
  readonly log: Log;
  readonly publishLogs: PublishLogs;
  readonly version: string;
  read<T>(body: (view: StateView) => T): T;
  submit(command: Command): Promise<CommandResult>;
}

export interface Node {
  describe(): NodeJson;
  close(): Promise<void>;
}

/** The node role: takes jobs while there are free slots, and keeps the inbox to what unfinished publishes need. */
export async function startNode(options: NodeOptions): Promise<Node> {
  const { settings, pool, replica, log } = options;
  const handler = new PublishHandler({ ...options, node: settings.node, limits: settings.limits });
  const isCordoned = (): boolean => options.read((view) => findNode(view, settings.node))?.cordoned === true;
  const loop = new JobLoop({
    slots: () => (isCordoned() ? 0 : pool.threads * LIMITS.jobsPerThread),
    backlog: () =>
      options
        .read(listBacklogs)
        .map(({ org, publishes, waiting }) => ({ org, publishes: publishes - waiting })),
    pull: (lane, org) => options.jobs.pull(lane, org),
    handle: (delivery) => handler.handle(delivery),
    log,
  });
  await reconcileInbox(options);
  const sweepRoots = (): Promise<unknown> =>
    reconcileRoots(options).catch((error: unknown) => log.warn({ err: error }, "roots could not be swept"));
  void sweepRoots();
  const reconcile = setInterval(() => {
    void sweepRoots();
    reconcileInbox(options).catch((error: unknown) =>
      log.warn({ err: error }, "the inbox could not be reconciled"),
    );
  }, RECONCILE_INTERVAL_MS);
  const stopListening = replica.onApplied((applied) => {
    // Of session starts and activations, hundreds a second, nothing is for nodes.
    if (applied.publishes.length === 0 && !applied.nodes) return;
    const threads = nodeThreads(options);
    if (threads !== pool.threads) {
      log.info({ from: pool.threads, to: threads }, "the number of worker threads changes");
      pool.resize(threads);
    }
    for (const id of applied.publishes) handler.changed(id);
    loop.ring();
  });
  loop.start();
  return {
    describe: () => describe(options, { jobs: loop.running, isCordoned: isCordoned() }),
    close: async () => {
      clearInterval(reconcile);
      stopListening();
      const grace = setTimeout(() => handler.stopAll(), DRAIN_MS);
      await loop.drain();
      await handler.tidied();
      clearTimeout(grace);
    },
  };
}

/** Worker threads of this node: what `scale` has set wins over what it was started with. */
export function nodeThreads(options: Pick<NodeOptions, "read" | "settings">): number {
  const { node, threads } = options.settings;
  return options.read((view) => findNode(view, node))?.threads ?? threads;
}

function describe(options: NodeOptions, now: { jobs: number; isCordoned: boolean }): NodeJson {
  const { settings, pool } = options;
  const disk = statfsSync(settings.data);
  return {
    node: settings.node,
    state: !now.isCordoned ? "ready" : now.jobs > 0 ? "draining" : "cordoned",
    labels: settings.labels,
    threads: pool.threads,
    ...(pool.threads !== settings.threads && { threads_default: settings.threads }),
    threads_busy: pool.busyThreads,
    jobs: now.jobs,
    build_slots: 0,
    gpus: [],
    disk: {
      path: settings.data,
      free_bytes: disk.bavail * disk.bsize,
      total_bytes: disk.blocks * disk.bsize,
    },
    last_seen: new Date().toISOString(),
    version: options.version,
  };
}
