import type { Command } from "../../proto/commands.ts";
import { type Cursor, type EventRecord, formatCursor } from "../../proto/events.ts";
import type { PublishJob } from "../../proto/subjects.ts";
import type { LogEntry } from "../../services/shared/bus.ts";
import type { EventStream } from "../../services/shared/bus-events.ts";
import type { JobQueue } from "../../services/shared/bus-jobs.ts";
import type { Chance } from "./chance.ts";

/** The process that made the call dies here. */
export class Crash extends Error {}

/** What the bus knows ids of: its window is far shorter than a history, so that repeats reach the log. */
const DEDUP_WINDOW = 6;

/**
 * A bus that keeps what it says it stored and nothing else: answers are lost, callers die before or after the store, and ids are
 * forgotten after a few messages, as JetStream's are after two minutes. Events and jobs are not synced: a crash loses the last.
 */
export class SimulatedBus {
  readonly log: LogEntry[] = [];
  readonly events: Cursor[] = [];
  /** Publish ids of the jobs that the queue took, each delivery of one being a case for the attempt's fence. */
  readonly jobs: string[] = [];
  /** Without faults everything is answered. */
  faulty = true;
  readonly #chance: Chance;

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  /** @returns the position; undefined when no answer came: it may be stored or not */
  append(command: Command, timeMs: number): { seq: number } | undefined {
    if (this.faulty && this.#chance.oneIn(12)) return undefined;
    const known = this.log.slice(-DEDUP_WINDOW).find((entry) => entry.command.id === command.id);
    const seq = known?.seq ?? this.log.push({ seq: this.log.length + 1, timeMs, command });
    return this.faulty && this.#chance.oneIn(6) ? undefined : { seq };
  }

  /** The event stream as one relay sees it. */
  eventStream(): EventStream {
    return {
      tail: async () => {
        await this.#pause();
        const cursor = this.events.at(-1);
        return { lastSeq: this.events.length, cursor };
      },
      publish: async (events, lastSeq) => {
        await this.#pause();
        if (this.events.length !== lastSeq) return { ok: false };
        this.events.push(...events.map(({ seq, k }: EventRecord) => ({ seq, k })));
        // The answer is about this append, whatever is stored before it arrives.
        const last = this.events.length;
        await this.#pause();
        return { ok: true, lastSeq: last };
      },
    };
  }

  /** The server dies and comes back, without the last of what it did not sync. */
  crash(): void {
    this.events.splice(Math.max(0, this.events.length - this.#chance.below(5)));
    this.jobs.splice(Math.max(0, this.jobs.length - this.#chance.below(3)));
  }

  jobQueue(): Pick<JobQueue, "publish" | "lastSeq"> {
    return {
      lastSeq: async () => {
        await this.#pause();
        return this.jobs.length;
      },
      publish: async (_lane, job: PublishJob) => {
        await this.#pause();
        if (!this.jobs.slice(-DEDUP_WINDOW).includes(job.publish_id)) this.jobs.push(job.publish_id);
        const seq = this.jobs.lastIndexOf(job.publish_id) + 1;
        await this.#pause();
        return { seq };
      },
    };
  }

  eventCursors(): string[] {
    return this.events.map(formatCursor);
  }

  /** Others run meanwhile; the caller may die, or hear nothing. */
  async #pause(): Promise<void> {
    for (let turns = this.#chance.below(3); turns > 0; turns--) await Promise.resolve();
    if (!this.faulty) return;
    if (this.#chance.oneIn(15)) throw new Crash("the relay's process died");
    if (this.#chance.oneIn(10)) throw new Error("no answer");
  }
}
