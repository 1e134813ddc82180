import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { Command } from "../../proto/commands.ts";
import { GranaryError } from "../../proto/errors.ts";
import { STREAMS } from "../../proto/subjects.ts";
import { type Appended, appendCommand } from "./bus-append.ts";
import { type BusOptions, connectNats } from "./bus-connection.ts";
import { claimDigest, type DigestClaim } from "./bus-digests.ts";
import { type EventStream, eventStream } from "./bus-events.ts";
import { type Following, type FollowOptions, followStream } from "./bus-follow.ts";
import { type HookBus, hookBus } from "./bus-hooks.ts";
import type { StreamMessage } from "./bus-inbox.ts";
import { type JobQueue, jobQueue } from "./bus-jobs.ts";
import { ensureStreams, epochOf, type StreamOptions } from "./bus-streams.ts";

export type { BusOptions } from "./bus-connection.ts";
export type { Following } from "./bus-follow.ts";
export type { HookBus, HookValue } from "./bus-hooks.ts";
export type { JobDelivery } from "./bus-jobs.ts";

/** A command at its place in the log. */
export interface LogEntry {
  readonly seq: number;
  readonly timeMs: number;
  readonly command: Command;
}

export interface LogInfo {
  /** Identity of the log. */
  readonly epoch: string;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** How many it holds. */
  readonly commands: number;
}

/**
 * The only thing between processes: the command log, the queues and the event stream (NATS JetStream). This file and its
 * `bus-*.ts` neighbours are the only ones that know NATS.
 */
export interface Bus {
  readonly connected: boolean;
  /** Calls back when the connection is lost (`false`) or there again (`true`); returns what removes the listener. */
  onStatus(listener: (connected: boolean) => void): () => void;
  /** Makes or checks the streams: once per process that may be the first. Needs the role `pointer` or `admin`. */
  ensureStreams(options?: StreamOptions): Promise<void>;
  /** @throws when the bus does not answer */
  logInfo(): Promise<LogInfo>;
  /** @throws GranaryError OUTCOME_UNKNOWN, UNAVAILABLE (certainly not stored), BODY_TOO_LARGE */
  appendCommand(command: Command, options?: { deadlineMs?: number }): Promise<Appended>;
  /** Commands behind `fromSeq`, for ever, in order, without gap. */
  consumeCommands(
    options: Omit<FollowOptions, "stream" | "onBatch"> & { onBatch(batch: readonly LogEntry[]): void },
  ): Following;
  /** Messages of the event stream behind a stream sequence, as CloudEvents JSON. */
  consumeEvents(options: Omit<FollowOptions, "stream" | "epoch">): Following;
  /** Says a state's digest; answers the one that was said first. @throws when the bus does not answer */
  claimDigest(claim: DigestClaim): Promise<string>;
  /** Removes commands below `seq`, for good. Needs the role `admin`. */
  trimLog(seq: number): Promise<void>;
  /** Removes the whole log. Needs the role `admin`. */
  deleteLog(): Promise<void>;
  readonly publishJobs: JobQueue;
  readonly events: EventStream;
  readonly hooks: HookBus;
  close(): Promise<void>;
}

/** @throws GranaryError UNAVAILABLE when nobody answers in time, UNAUTHENTICATED when the server refuses the key */
export async function connectBus(options: BusOptions): Promise<Bus> {
  const connection = await connectNats(options);
  const { nats } = connection;
  // checkAPI would make connecting fail while JetStream still recovers its streams.
  const api = { timeout: API_TIMEOUT_MS, checkAPI: false };
  const js = jetstream(nats, api);
  const manager = await jetstreamManager(nats, api);
  return {
    get connected() {
      return connection.connected;
    },
    onStatus: (listener) => connection.onStatus(listener),
    ensureStreams: (streamOptions) => ensureStreams(manager, streamOptions),
    async logInfo() {
      const { config, state } = await manager.streams.info(STREAMS.commands);
      return {
        epoch: epochOf(config),
        firstSeq: state.first_seq,
        lastSeq: state.last_seq,
        commands: state.messages,
      };
    },
    appendCommand: (command, { deadlineMs = APPEND_DEADLINE_MS } = {}) =>
      appendCommand({ connection, js }, command, { deadlineMs }),
    consumeCommands: ({ onBatch, ...follow }) =>
      followStream(
        { connection, manager },
        { ...follow, stream: STREAMS.commands, onBatch: (batch) => onBatch(batch.map(logEntry)) },
      ),
    consumeEvents: (follow) => followStream({ connection, manager }, { ...follow, stream: STREAMS.events }),
    claimDigest: (claim) => claimDigest({ js, manager }, claim),
    async trimLog(seq) {
      await manager.streams.purge(STREAMS.commands, { seq });
    },
    async deleteLog() {
      await manager.streams.delete(STREAMS.commands);
    },
    publishJobs: jobQueue({ nats, js, manager }),
    events: eventStream({ nats, js, manager }),
    hooks: hookBus({ js, manager }),
    close: () => connection.close(),
  };
}

const API_TIMEOUT_MS = 5_000;
/** Several publish attempts of 2 s: long enough for a server that restarts. */
const APPEND_DEADLINE_MS = 10_000;

/** @throws GranaryError STORE_FORMAT on what no Granary wrote: the replica must halt, not skip */
function logEntry(message: StreamMessage): LogEntry {
  const { seq, timeMs } = message;
  try {
    const command = JSON.parse(Buffer.from(message.data).toString("utf8")) as Command;
    if (
      typeof command.id === "string" &&
      typeof command.org === "string" &&
      typeof command.body?.type === "string"
    ) {
      return { seq, timeMs, command };
    }
  } catch (cause) {
    throw new GranaryError("STORE_FORMAT", `the command log has no JSON at ${seq}`, { seq }, { cause });
  }
  throw new GranaryError("STORE_FORMAT", `the command log has no command at ${seq}`, { seq });
}
