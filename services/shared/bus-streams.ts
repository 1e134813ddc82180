import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import {
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  PersistMode,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from "@nats-io/jetstream";
import { GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import { STREAMS, SUBJECTS } from "../../proto/subjects.ts";

export interface StreamOptions {
  /** 1, or 3 on a cluster. */
  readonly replicas?: number;
  /** How long the server may take to answer at boot. */
  readonly timeoutMs?: number;
  /** What a log that is made here begins with; one that is there stays as it is. */
  readonly log?: LogSeed;
}

/** The identity of a log and its first sequence: that of a new log is made up, one that continues a state goes on from it. */
export interface LogSeed {
  readonly epoch: string;
  readonly firstSeq: number;
}

/**
 * Creates the farm's streams, or checks those that are there. Repeating it, also at the same time from several processes, is
 * harmless; while the server boots or elects it is retried.
 * @throws GranaryError NATS_UNFIT when a stream lacks a setting that durability rests on, UNAVAILABLE after `timeoutMs`
 */
export async function ensureStreams(manager: JetStreamManager, options: StreamOptions = {}): Promise<void> {
  const deadline = performance.now() + (options.timeoutMs ?? 30_000);
  for (const wanted of streamConfigs(options)) {
    const info = await retried(() => ensureStream(manager, wanted), {
      what: `stream ${wanted.name}`,
      deadline,
    });
    assertSettings(wanted, info.config);
  }
}

type WantedConfig = Partial<StreamConfig> & { readonly name: string };

function streamConfigs({ replicas = 1, log }: StreamOptions): readonly WantedConfig[] {
  // What is made from the state is made again from it when the server loses its end (relay-events.ts, relay-jobs.ts). Of a cluster's
  // three copies none would be synced. Measured: 2.5 instead of 4.3 ms CPU of nats-server a publish.
  const remade = replicas === 1 ? { persist_mode: PersistMode.Async } : {};
  const all = { storage: StorageType.File, num_replicas: replicas, duplicate_window: nanos(DEDUP_WINDOW_MS) };
  return [
    {
      ...all,
      name: STREAMS.commands,
      subjects: [SUBJECTS.allCommands],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.New,
      deny_delete: true,
      // The identity of this log: a state that was made from another one must not continue here.
      metadata: { [EPOCH]: log?.epoch ?? randomUUID() },
      ...(log !== undefined && { first_seq: log.firstSeq }),
    },
    {
      ...all,
      name: STREAMS.digests,
      subjects: [SUBJECTS.allDigests],
      retention: RetentionPolicy.Limits,
      // The first word for a position stands.
      discard: DiscardPolicy.New,
      discard_new_per_subject: true,
      max_msgs_per_subject: 1,
      max_age: nanos(DIGESTS_MAX_AGE_MS),
      deny_delete: true,
    },
    {
      ...all,
      ...remade,
      name: STREAMS.events,
      subjects: [SUBJECTS.allEvents],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      max_age: nanos(EVENTS_MAX_AGE_MS),
      max_msgs: EVENTS_MAX,
    },
    {
      ...all,
      ...remade,
      name: STREAMS.publishJobs,
      subjects: [SUBJECTS.allPublishJobs],
      retention: RetentionPolicy.Workqueue,
      discard: DiscardPolicy.New,
      discard_new_per_subject: true,
      max_msgs_per_subject: LIMITS.queuedPublishesPerOrg,
      deny_delete: false,
    },
    {
      ...all,
      name: STREAMS.hooks,
      subjects: [`${SUBJECTS.hooks}.>`],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      max_msgs_per_subject: 1,
    },
    {
      ...all,
      name: STREAMS.deliveries,
      subjects: [`${SUBJECTS.deliveries}.>`],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      max_age: nanos(EVENTS_MAX_AGE_MS),
      max_msgs_per_subject: LIMITS.webhookLogEntries,
    },
  ];
}

/** Two minutes: a publisher gives up long before, and ids behind the window are known to the state. */
const DEDUP_WINDOW_MS = 120_000;
export const EVENTS_MAX_AGE_MS = 30 * 24 * 3_600_000;
const EVENTS_MAX = 10_000_000;
/** A replica that replays an older log has nothing to compare with. */
const DIGESTS_MAX_AGE_MS = 30 * 24 * 3_600_000;
const EPOCH = "epoch";

/** Settings without which the farm would lose or reorder something: they must be as asked for. */
const STRICT = [
  "retention",
  "storage",
  "discard",
  "deny_delete",
  "discard_new_per_subject",
  "max_msgs_per_subject",
] as const satisfies readonly (keyof StreamConfig)[];

async function ensureStream(manager: JetStreamManager, wanted: WantedConfig): Promise<StreamInfo> {
  const found = await streamInfo(manager, wanted.name);
  if (found !== undefined) return found;
  try {
    return await manager.streams.add(wanted);
  } catch (error) {
    // Another process created it meanwhile, with an epoch of its own.
    const raced = await streamInfo(manager, wanted.name);
    if (raced !== undefined) return raced;
    throw error;
  }
}

async function streamInfo(manager: JetStreamManager, name: string): Promise<StreamInfo | undefined> {
  try {
    return await manager.streams.info(name);
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound)
      return undefined;
    throw error;
  }
}

function assertSettings(wanted: WantedConfig, found: StreamConfig): void {
  for (const setting of STRICT) {
    const [want, have] = [wanted[setting], found[setting]];
    if (want === undefined || want === have) continue;
    const detail = { stream: found.name, setting, expected: String(want), found: String(have) };
    throw new GranaryError(
      "NATS_UNFIT",
      `stream ${found.name} has ${setting} = ${String(have)}, not ${String(want)}`,
      detail,
    );
  }
  if (found.name !== STREAMS.commands) return;
  const unlimited =
    found.max_age === 0 && found.max_msgs <= 0 && found.max_bytes <= 0 && found.max_msgs_per_subject <= 0;
  if (!unlimited)
    throw new GranaryError("NATS_UNFIT", `stream ${found.name} would forget commands`, {
      stream: found.name,
    });
  epochOf(found);
}

/** @throws GranaryError NATS_UNFIT when the stream was not made by Granary */
export function epochOf(config: Pick<StreamConfig, "name" | "metadata">): string {
  const epoch = config.metadata?.[EPOCH];
  if (epoch !== undefined) return epoch;
  throw new GranaryError("NATS_UNFIT", `stream ${config.name} has no epoch: Granary did not make it`);
}

/** A JetStream that boots or elects answers with errors or not at all. */
async function retried<T>(call: () => Promise<T>, options: { what: string; deadline: number }): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (cause) {
      if (cause instanceof GranaryError) throw cause;
      if (performance.now() > options.deadline) {
        throw new GranaryError("UNAVAILABLE", `the bus does not answer for ${options.what}`, {}, { cause });
      }
      await sleep(250);
    }
  }
}

function nanos(ms: number): number {
  return ms * 1_000_000;
}
