import { applyBatch } from "../../services/pointer/apply-batch.ts";
import { cutAtMultiples } from "../../services/pointer/digest-checks.ts";
import { LocalCursors } from "../../services/pointer/local-cursors.ts";
import { eventRelay, type RelayLoop } from "../../services/pointer/relay-events.ts";
import { jobRelay } from "../../services/pointer/relay-jobs.ts";
import { BusInbox } from "../../services/shared/bus-inbox.ts";
import type { StateWriter } from "../../services/shared/state-db.ts";
import { KEYS } from "../../services/shared/state-keys.ts";
import type { Chance } from "./chance.ts";
import { Crash, type SimulatedBus } from "./simulated-bus.ts";
import { SimulatedState } from "./simulated-state.ts";

const CUT_EVERY = 7;

/**
 * A replica with its relays: the real ones, between a bus and a disk that are not. What is volatile in it (inbox, cursors that
 * were not written, the relays' places) is gone after {@link crash}.
 */
export class SimulatedReplica {
  disk = new SimulatedState();
  crashes = 0;
  #snapshot: SimulatedState | undefined;
  readonly #bus: SimulatedBus;
  readonly #chance: Chance;
  #inbox: BusInbox | undefined;
  #cursors!: LocalCursors;
  #relays: RelayLoop[] = [];

  constructor(bus: SimulatedBus, chance: Chance) {
    this.#bus = bus;
    this.#chance = chance;
    this.#boot();
  }

  get appliedSeq(): number {
    return this.disk.state.get(KEYS.meta())?.seq ?? 0;
  }

  /** The process ends and starts again; sometimes on an older copy of its state, which stands for a lost disk. */
  crash(): void {
    this.crashes += 1;
    if (this.#bus.faulty && this.#snapshot !== undefined && this.#chance.oneIn(6))
      this.disk = this.#snapshot.copy();
    this.#boot();
  }

  takeSnapshot(): void {
    this.#snapshot = this.disk.copy();
  }

  flushCursors(): void {
    this.#cursors.flush();
  }

  /** Hands over some of the log: with faults, messages are left out, doubled and swapped. */
  async deliver(): Promise<void> {
    const inbox = this.#inbox ?? this.#subscribe();
    const { log, faulty } = this.#bus;
    const from = Math.max(0, this.appliedSeq - (faulty ? this.#chance.below(3) : 0));
    const entries = log.slice(from, faulty ? from + 1 + this.#chance.below(6) : from + 64);
    if (faulty && this.#chance.oneIn(5)) entries.splice(this.#chance.below(entries.length + 1), 1);
    if (faulty && this.#chance.oneIn(5)) entries.reverse();
    if (faulty && this.#chance.oneIn(5)) entries.push(...entries.slice(0, 2));
    const dying = faulty && this.#chance.oneIn(8);
    let writesLeft = dying ? this.#chance.below(40) : Number.POSITIVE_INFINITY;
    this.disk.beforeWrite = () => {
      writesLeft -= 1;
      if (writesLeft < 0) throw new Crash("the replica died inside a transaction");
    };
    for (const { seq, timeMs, command } of entries) {
      const data = Buffer.from(JSON.stringify(command));
      inbox.push({ seq, timestampNanos: BigInt(timeMs) * 1_000_000n, data });
    }
    const ended = await Promise.race([inbox.ended.catch((error: unknown) => error), flushed()]);
    this.disk.beforeWrite = () => undefined;
    if (ended instanceof Crash || (faulty && this.#chance.oneIn(20))) this.crash();
    // A gap, or what the client says when a consumer is gone: a new one begins behind what is applied.
    else if (ended !== undefined) this.#inbox = undefined;
  }

  /** One step of one relay; whether there may be more. */
  async relay(which: number): Promise<boolean> {
    try {
      return (await this.#relays[which]?.step()) ?? false;
    } catch (error) {
      if (error instanceof Crash) this.crash();
      return true;
    }
  }

  reconnected(): void {
    for (const relay of this.#relays) relay.reconnected();
  }

  #subscribe(): BusInbox {
    const inbox = new BusInbox({
      lastSeq: this.appliedSeq,
      pauseMs: 0,
      deliver: (batch) => {
        const entries = batch.map(({ seq, timeMs, data }) => ({
          seq,
          timeMs,
          command: JSON.parse(Buffer.from(data).toString("utf8")),
        }));
        for (const group of cutAtMultiples(entries, CUT_EVERY))
          applyBatch(this.disk as unknown as StateWriter, group, this.#cursors.take());
      },
    });
    this.#inbox = inbox;
    return inbox;
  }

  #boot(): void {
    const { disk } = this;
    this.#inbox = undefined;
    this.#cursors = new LocalCursors(disk as unknown as StateWriter);
    const common = { source: disk, cursors: this.#cursors };
    this.#relays = [
      eventRelay({ ...common, stream: this.#bus.eventStream() }),
      jobRelay({ ...common, queue: this.#bus.jobQueue() as never }),
    ];
  }
}

/** The inbox hands over when the event loop turns; what was pushed in one go takes one turn. */
function flushed(): Promise<undefined> {
  return new Promise((resolve) => setImmediate(() => setImmediate(() => resolve(undefined))));
}
