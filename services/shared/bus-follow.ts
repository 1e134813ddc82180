import { setTimeout as sleep } from "node:timers/promises";
import { type ConsumerMessages, type JetStreamManager, ReplayPolicy } from "@nats-io/jetstream";
import { GranaryError } from "../../proto/errors.ts";
import type { BusConnection } from "./bus-connection.ts";
import { BATCH_MAX, BusInbox, type StreamMessage } from "./bus-inbox.ts";
import { epochOf } from "./bus-streams.ts";

export interface FollowOptions {
  readonly stream: string;
  /** The last sequence that is known: what follows it comes, without gap. */
  readonly fromSeq: number;
  /** The stream's epoch, once known: another one ends the following. */
  readonly epoch?: string;
  /** Messages that have arrived, in order, {@link BATCH_MAX} at most. Synchronous; a throw ends the following. */
  onBatch(batch: readonly StreamMessage[]): void;
  /** The server said that nothing is waiting, or something arrived. `atHead`: what was handed over is (nearly) all there is. */
  onAlive?(atHead: boolean): void;
  /** It was broken off and begins again; told once for each cause until something arrives. */
  onBroken?(error: unknown): void;
  /** The following ended for good. */
  onEnd(error: GranaryError): void;
}

export interface Following {
  close(): Promise<void>;
}

/** Messages that the server may have sent ahead of us: bounds memory while a batch is applied. */
const AHEAD_MAX = 1_024;
const HEARTBEAT_MS = 500;
const EXPIRES_MS = 30_000;
/** Three heartbeats without a sign of life: the consumer is replaced. */
const SILENCE_MS = 2_000;
const RETRY_MS = 100;

/**
 * Follows a stream from a sequence on, in order and without gap, across reconnections and restarts of the server. Each time
 * the link comes back a new ordered consumer takes over: the client's own recovery can sleep for a whole pull (30 s).
 */
export function followStream(
  bus: { connection: BusConnection; manager: JetStreamManager },
  options: FollowOptions,
): Following {
  const abort = new AbortController();
  const { signal } = abort;
  let lastSeq = options.fromSeq;
  const told = new Set<string>();
  const tell = (error: unknown): void => {
    const cause = String(error);
    if (!told.has(cause)) options.onBroken?.(error);
    told.add(cause);
  };

  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        if (bus.connection.connected) await followOnce();
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Fatal) return options.onEnd(error.reason);
        tell(error);
      }
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  };

  /** Ends when the consumer does not serve any more. */
  const followOnce = async (): Promise<void> => {
    await checkStream(bus.manager, options, lastSeq);
    const consumer = await bus.manager.jetstream().consumers.get(options.stream, {
      opt_start_seq: lastSeq + 1,
      replay_policy: ReplayPolicy.Instant,
      inactive_threshold: 60_000,
    });
    const inbox = new BusInbox({
      lastSeq,
      deliver: (batch, seq) => {
        try {
          options.onBatch(batch);
        } catch (cause) {
          throw new Fatal(asGranaryError(cause));
        }
        lastSeq = seq;
      },
    });
    await serve(
      consumer.consume({
        max_messages: AHEAD_MAX,
        expires: EXPIRES_MS,
        idle_heartbeat: HEARTBEAT_MS,
        callback: (message) => inbox.push(message),
      }),
      inbox,
    );
  };

  const serve = async (starting: Promise<ConsumerMessages>, inbox: BusInbox): Promise<void> => {
    const messages = await starting;
    let aliveAt = performance.now();
    const alive = (atHead: boolean) => {
      aliveAt = performance.now();
      told.clear();
      options.onAlive?.(atHead);
    };
    inbox.onDelivered = alive;
    const watchdog = setInterval(() => {
      if (performance.now() - aliveAt > SILENCE_MS) inbox.end(new Error("the consumer fell silent"));
    }, HEARTBEAT_MS);
    const offStatus = bus.connection.onStatus((connected) => {
      if (!connected) inbox.end(new Error("the connection was lost"));
    });
    const notices = async () => {
      for await (const notice of messages.status()) {
        if (notice.type === "heartbeat" && inbox.idle) alive(true);
        else if (notice.type === "reset" || notice.type === "consumer_not_found")
          inbox.end(new Error(notice.type));
      }
    };
    const stop = () => inbox.end(new Error("closed"));
    signal.addEventListener("abort", stop);
    const noticed = notices();
    messages.closed().then(
      () => inbox.end(new Error("the consumer was closed")),
      () => undefined,
    );
    try {
      await inbox.ended;
    } finally {
      clearInterval(watchdog);
      offStatus();
      signal.removeEventListener("abort", stop);
      messages.stop();
      await noticed;
    }
  };

  const running = run();
  return {
    async close() {
      abort.abort();
      await running;
    },
  };
}

/** The log and what we know must fit together; a stream that lost its end or its beginning is no continuation. */
async function checkStream(
  manager: JetStreamManager,
  options: FollowOptions,
  lastSeq: number,
): Promise<void> {
  const { config, state } = await manager.streams.info(options.stream);
  const detail = { stream: options.stream, applied: lastSeq, first: state.first_seq, last: state.last_seq };
  if (options.epoch !== undefined && epochOf(config) !== options.epoch) {
    throw new Fatal(
      new GranaryError("STATE_BEHIND", `${options.stream} is another log than the one applied here`, detail),
    );
  }
  if (state.last_seq < lastSeq) {
    throw new Fatal(
      new GranaryError(
        "STATE_BEHIND",
        `${options.stream} ends at ${state.last_seq}, ${lastSeq} was applied`,
        detail,
      ),
    );
  }
  if (state.last_seq > lastSeq && state.first_seq > lastSeq + 1) {
    throw new Fatal(
      new GranaryError(
        "STATE_BEHIND",
        `${options.stream} begins at ${state.first_seq}, behind ${lastSeq + 1}`,
        detail,
      ),
    );
  }
}

/** What retrying does not mend. */
class Fatal extends Error {
  readonly reason: GranaryError;

  constructor(reason: GranaryError) {
    super(reason.message);
    this.reason = reason;
  }
}

function asGranaryError(cause: unknown): GranaryError {
  if (cause instanceof GranaryError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new GranaryError("INTERNAL", `a batch could not be applied: ${message}`, {}, { cause });
}
