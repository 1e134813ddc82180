import type { Command } from "../../proto/commands.ts";
import type { Bus } from "../shared/bus.ts";
import { Wake } from "../shared/wake.ts";
import { EXPIRY_SWEEP_MS, expirePreviews } from "./expire-previews.ts";
import { expireSessions } from "./expire-sessions.ts";
import type { LocalCursors } from "./local-cursors.ts";
import { eventRelay, type RelaySource } from "./relay-events.ts";
import { jobRelay } from "./relay-jobs.ts";
import { republishLostJobs, SAFETY_NET_MS } from "./republish-lost-jobs.ts";
import { retentionSweep } from "./retire-releases.ts";
import { trimOldEvents } from "./trim-old-events.ts";

export interface Relay {
  /** New commands were applied. */
  wake(): void;
  close(): Promise<void>;
}

/**
 * Runs both relays, the safety net and the sweep of due previews, sessions and releases until closed. Effects of a commit leave this way, after it: an
 * outbox.
 */
export function startRelay(options: {
  bus: Bus;
  source: RelaySource;
  cursors: LocalCursors;
  /** How long events stay in the state. */
  eventsKeepMs: number;
  now(): number;
  warn(detail: Record<string, unknown>, message: string): void;
}): Relay {
  const { bus, source, cursors } = options;
  const abort = new AbortController();
  const loops = [
    { what: "events", relay: eventRelay({ source, stream: bus.events, cursors }), wake: new Wake() },
    { what: "jobs", relay: jobRelay({ source, queue: bus.publishJobs, cursors }), wake: new Wake() },
  ];

  const run = async (loop: (typeof loops)[number]): Promise<void> => {
    while (!abort.signal.aborted) {
      try {
        if (bus.connected && (await loop.relay.step())) continue;
        await loop.wake.wait(IDLE_MS, abort.signal);
      } catch (error) {
        if (abort.signal.aborted) return;
        options.warn({ err: String(error), relay: loop.what }, "the relay could not go on; it tries again");
        await new Wake().wait(RETRY_MS, abort.signal);
      }
    }
  };

  const guard = async (): Promise<void> => {
    for (;;) {
      await new Wake().wait(SAFETY_NET_MS, abort.signal);
      if (abort.signal.aborted) return;
      try {
        const jobs = bus.connected
          ? await republishLostJobs({ source, queue: bus.publishJobs, nowMs: options.now() })
          : 0;
        if (jobs > 0) options.warn({ jobs }, "jobs were missing in the queue and were put in again");
      } catch (error) {
        options.warn({ err: String(error) }, "the queue could not be compared with the state");
      }
    }
  };

  const sweep = async (): Promise<void> => {
    const append = (command: Command) => bus.appendCommand(command);
    const retire = retentionSweep({ source, append });
    let trimAtMs = 0;
    for (;;) {
      await new Wake().wait(EXPIRY_SWEEP_MS, abort.signal);
      if (abort.signal.aborted) return;
      try {
        if (!bus.connected) continue;
        await expirePreviews({ source, append, nowMs: options.now() });
        await expireSessions({ source, append, nowMs: options.now() });
        await retire(options.now());
        if (options.now() >= trimAtMs) {
          const trims = await trimOldEvents({
            source,
            append,
            nowMs: options.now(),
            keepMs: options.eventsKeepMs,
          });
          // A backlog is worked off a thousand a second, and looked for rarely.
          trimAtMs = options.now() + (trims > 0 ? 0 : Math.min(TRIM_SWEEP_MS, options.eventsKeepMs));
        }
      } catch (error) {
        options.warn({ err: String(error) }, "what is due could not be ended; it tries again");
      }
    }
  };

  const offStatus = bus.onStatus((connected) => {
    if (connected) for (const { relay } of loops) relay.reconnected();
  });
  const flushing = setInterval(() => cursors.flush(), FLUSH_MS);
  const running = [...loops.map(run), guard(), sweep()];
  return {
    wake() {
      for (const loop of loops) loop.wake.wake();
    },
    async close() {
      abort.abort();
      offStatus();
      clearInterval(flushing);
      await Promise.all(running);
      cursors.flush();
    },
  };
}

/** Looks again without being woken: also picks up after a lost connection. */
const IDLE_MS = 1_000;
const RETRY_MS = 500;
const TRIM_SWEEP_MS = 60_000;
const FLUSH_MS = 1_000;
