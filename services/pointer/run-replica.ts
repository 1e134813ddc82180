import { setTimeout as sleep } from "node:timers/promises";
import { GranaryError } from "../../proto/errors.ts";
import { type Bus, connectBus, type LogInfo } from "../shared/bus.ts";
import type { ReplicaMessage, ReplicaThreadData } from "../shared/replica-messages.ts";
import { adoptReseed, LOCAL_EPOCH, readReseed } from "../shared/reseed-mark.ts";
import { openStateWriter, type StateWriter } from "../shared/state-db.ts";
import { KEYS } from "../shared/state-keys.ts";
import { applyBatch } from "./apply-batch.ts";
import { cutAtMultiples, digestChecks } from "./digest-checks.ts";
import { LocalCursors } from "./local-cursors.ts";
import { type Relay, startRelay } from "./start-relay.ts";
import { takeSnapshots } from "./take-snapshots.ts";

interface ReplicaContext {
  post(message: ReplicaMessage): void;
  readonly signal: AbortSignal;
  now(): number;
}

/**
 * Applies the command log to the state until aborted.
 * @throws GranaryError STATE_BEHIND when log and state do not belong together, STATE_DIVERGED when another replica's state is not
 * this one's, STORE_FORMAT on an unknown command, and whatever made a commit fail; the state is then as it was before the group
 */
export async function runReplica(data: ReplicaThreadData, context: ReplicaContext): Promise<void> {
  // What a power cut may undo of it is applied again: the log has it.
  const writer = openStateWriter(data.dir, { replayable: true });
  try {
    const diverged = writer.readLocal(DIVERGED);
    if (diverged !== undefined) throw new GranaryError("STATE_DIVERGED", diverged, { dir: data.dir });
    context.post({ type: "opened", seq: appliedSeq(writer) });
    const bus = await connectBus({
      servers: data.servers,
      credentials: { seed: data.seed, inboxPrefix: data.inboxPrefix },
      name: data.name,
      signal: context.signal,
    });
    try {
      await follow({ data, writer, bus }, context);
    } finally {
      await bus.close();
    }
  } finally {
    await writer.close();
  }
}

async function follow(
  replica: { data: ReplicaThreadData; writer: StateWriter; bus: Bus },
  context: ReplicaContext,
): Promise<void> {
  const { data, writer, bus } = replica;
  const { post, signal } = context;
  bus.onStatus((connected) => {
    if (!connected) post({ type: "away" });
  });
  const seed = readReseed(writer);
  if (data.relay) await bus.ensureStreams(seed && { log: seed });
  const log = await logInfo(bus, { signal, warn: warner(post) });
  if (log === undefined) return;
  adoptEpoch(writer, log);

  const cursors = new LocalCursors(writer);
  let relay: Relay | undefined;
  let ready = false;
  const checkReady = (seq: number) => {
    if (ready || seq < log.lastSeq) return;
    ready = true;
    post({ type: "ready" });
    if (data.relay)
      relay = startRelay({
        bus,
        source: writer,
        cursors,
        eventsKeepMs: data.eventsKeepMs,
        now: context.now,
        warn: warner(post),
      });
  };

  let halt: (error: GranaryError) => void = () => undefined;
  const halted = new Promise<never>((_, reject) => {
    halt = reject;
  });
  const every = data.digestEvery;
  const digests = digestChecks({
    writer,
    bus,
    epoch: log.epoch,
    every,
    onDigest: (at) => post({ type: "digest", ...at }),
    onFail: (error) => {
      writer.transact((_, local) => local.put(DIVERGED, error.message));
      writer.settle();
      halt(error);
    },
  });
  const snapshots =
    data.snapshots &&
    takeSnapshots({
      ...data.snapshots,
      writer,
      epoch: log.epoch,
      onSnapshots: (seqs) => post({ type: "snapshots", seqs }),
      warn: warner(post),
    });
  const following = bus.consumeCommands({
    fromSeq: appliedSeq(writer),
    epoch: log.epoch,
    onBatch: (batch) => {
      for (const group of cutAtMultiples(batch, every)) {
        const applied = applyBatch(writer, group, cursors.take());
        post({ type: "applied", applied });
        digests.applied(applied.seq);
        snapshots?.applied(applied.seq);
        checkReady(applied.seq);
      }
      relay?.wake();
    },
    onAlive: throttled((atHead) => post({ type: "alive", atHead })),
    onBroken: (error) => warner(post)({ err: String(error) }, "the command log is followed anew"),
    onEnd: (error) => halt(error),
  });
  checkReady(appliedSeq(writer));
  snapshots?.applied(appliedSeq(writer));
  try {
    await Promise.race([halted, aborted(signal)]);
  } finally {
    await following.close();
    await digests.close();
    await snapshots?.close();
    await relay?.close();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** The log, as soon as it is there: another process may be the one that makes it. */
async function logInfo(
  bus: Bus,
  { signal, warn }: { signal: AbortSignal; warn: ReturnType<typeof warner> },
): Promise<LogInfo | undefined> {
  let warnAtMs = performance.now() + TELL_MS;
  while (!signal.aborted) {
    try {
      return await bus.logInfo();
    } catch (error) {
      if (error instanceof GranaryError) throw error;
      if (performance.now() >= warnAtMs) {
        warn(
          { err: String(error) },
          "the command log is not there yet; a process with the pointer role makes it",
        );
        warnAtMs = performance.now() + TELL_MS;
      }
      await sleep(250, undefined, { signal }).catch(() => undefined);
    }
  }
  return undefined;
}

/** Who waits for longer is told what for, again and again. */
const TELL_MS = 5_000;

/** @throws GranaryError STATE_BEHIND when the state was made from another log, or the log lost what was applied */
function adoptEpoch(writer: StateWriter, log: LogInfo): void {
  const seq = appliedSeq(writer);
  const seed = readReseed(writer);
  if (seed?.epoch === log.epoch) adoptReseed(writer, log.epoch);
  const epoch = writer.readLocal(EPOCH);
  if (epoch === undefined && seq === 0) {
    writer.transact((_, local) => local.put(EPOCH, log.epoch));
    return;
  }
  const detail = { applied: seq, last: log.lastSeq };
  if (epoch !== log.epoch) {
    throw new GranaryError(
      "STATE_BEHIND",
      "the command log is not the one that this state was made from",
      detail,
    );
  }
  if (log.lastSeq < seq) {
    throw new GranaryError(
      "STATE_BEHIND",
      `the command log ends at ${log.lastSeq}, but ${seq} was applied`,
      detail,
    );
  }
}

const EPOCH = LOCAL_EPOCH;
/** Why this copy must not be used any more; it stays so across restarts. */
const DIVERGED = "diverged";

function appliedSeq(writer: StateWriter): number {
  return writer.read((view) => view.get(KEYS.meta()))?.seq ?? 0;
}

function warner(post: (message: ReplicaMessage) => void) {
  return (detail: Record<string, unknown>, message: string) =>
    post({ type: "log", level: "warn", detail, message });
}

/** Twice a second is enough for a two-second limit. */
function throttled(call: (atHead: boolean) => void): (atHead: boolean) => void {
  let lastMs = Number.NEGATIVE_INFINITY;
  let wasAtHead = false;
  return (atHead) => {
    if (performance.now() - lastMs < 400 && atHead === wasAtHead) return;
    lastMs = performance.now();
    wasAtHead = atHead;
    call(atHead);
  };
}
