import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { GranaryError } from "../../proto/errors.ts";
import type { CloudEvent } from "../../proto/events.ts";
import type { WhoamiJson } from "../../proto/http.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { SubscriptionJson } from "../../proto/subscription-http.ts";
import type { EventSnapshotJson } from "../../proto/webhook-http.ts";
import { fetchSnapshot } from "./fetch-snapshot.ts";
import { nameProject } from "./name-project.ts";
import { type EventsOptions, readEvents } from "./read-events.ts";
import { isPassing, pause, type Requests } from "./requests.ts";

export interface SubscribeOptions {
  /** Name of the group: processes that give the same one share its cursor. */
  readonly group: string;
  /** Where a group that does not exist yet begins: `beginning` (the default), `now`, or a cursor such as that of `current`. */
  readonly from?: string;
  /** `org/project`; absent: all projects of the org. */
  readonly project?: string;
  /** The token's when absent. */
  readonly org?: string;
  /** Name of this process; random when absent. Two that run at once must not share one. */
  readonly holder?: string;
  /** How long the group waits for a process that fell silent: 2 to 300, 30 when not given. */
  readonly claimSeconds?: number;
  /**
   * Called when the group's place is older than what the farm keeps: make your state what the snapshot says, then reading goes on
   * behind it. Without it the loop ends with CURSOR_EXPIRED.
   */
  readonly onExpired?: (snapshot: EventSnapshotJson) => Promise<void> | void;
  /** Ends the loop, as `close()` does. */
  readonly signal?: AbortSignal;
  /** Told why, whenever something has to be tried again: a farm that is away is waited for, however long. */
  readonly onRetry?: ((error: GranaryError) => void) | undefined;
}

/**
 * Events, each to be handled before the next is asked for: asking for the next one says that it has been. What was handled is
 * committed every second and when the loop ends; after a crash the events since the last commit come again, to whichever process
 * takes over. In order per project.
 */
export interface Subscription extends AsyncIterable<CloudEvent> {
  /** Commits what has been handled and lets another process take over. */
  close(): Promise<void>;
}

const COMMIT_MS = 1_000;
/** How often a process that stands by looks whether the reader is gone. */
const STAND_BY_MS = 2_000;

export function subscribe(requests: Requests, options: SubscribeOptions): Subscription {
  const closing = new AbortController();
  const signal =
    options.signal === undefined ? closing.signal : AbortSignal.any([options.signal, closing.signal]);
  const claimMs = 1000 * (options.claimSeconds ?? LIMITS.subscriptionClaimMs / 1000);
  const iterators = new Set<AsyncGenerator<CloudEvent, void, undefined>>();
  return {
    [Symbol.asyncIterator]: () => {
      // Of two loops over one subscription, too, one stands by.
      const holder = options.holder ?? randomUUID();
      const iterator = deliver(requests, { ...options, holder, claimMs, signal });
      iterators.add(iterator);
      return iterator;
    },
    close: async () => {
      closing.abort();
      // A loop that stands at an event, and does not ask for the next, ends by this alone.
      await Promise.all([...iterators].map((iterator) => iterator.return()));
    },
  };
}

interface Claimed extends SubscribeOptions {
  readonly holder: string;
  readonly claimMs: number;
  readonly signal: AbortSignal;
}

async function* deliver(requests: Requests, options: Claimed): AsyncGenerator<CloudEvent, void, undefined> {
  const { signal } = options;
  const of = await feedOf(requests, options);
  while (!signal.aborted && of !== undefined) {
    const claimed = await claimWhenFree(requests, of, options);
    if (claimed === undefined) return;
    const path = pathOf(of.org, options.group);
    const reading = new Reading(requests, { ...claimed, path, claimMs: options.claimMs, signal });
    try {
      yield* reading.events({ ...of, onRetry: options.onRetry });
      return;
    } catch (error) {
      if (signal.aborted) return;
      const { code } = error instanceof GranaryError ? error : {};
      // Another process has taken over: this one stands by again.
      if (code === "SUBSCRIPTION_LOST") continue;
      if (code !== "CURSOR_EXPIRED" || options.onExpired === undefined) throw error;
      await beginAnew(requests, of, { reading, options });
    } finally {
      await reading.leave();
    }
  }
}

async function beginAnew(
  requests: Requests,
  of: { org: string; project?: string },
  { reading, options }: { reading: Reading; options: Claimed },
): Promise<void> {
  const snapshot = await persist(options, () => fetchSnapshot(requests, of));
  if (snapshot === undefined) return;
  await options.onExpired?.(snapshot);
  reading.goTo(snapshot.cursor);
}

/** One term as the group's reader: from a claim until it is left or lost. */
class Reading {
  readonly #requests: Requests;
  readonly #path: string;
  readonly #epoch: number;
  readonly #claimMs: number;
  readonly #ended = new AbortController();
  readonly #signal: AbortSignal;
  readonly #timer: NodeJS.Timeout;
  #handled: string;
  #committed: string;
  /** When the newest renewal was sent, and when the newest one that the farm confirmed was sent. */
  #sentMs: number;
  #confirmedMs: number;
  #lost: unknown;

  constructor(
    requests: Requests,
    of: { path: string; claim: SubscriptionJson; claimedMs: number; claimMs: number; signal: AbortSignal },
  ) {
    this.#requests = requests;
    this.#path = of.path;
    this.#epoch = of.claim.epoch;
    this.#claimMs = of.claimMs;
    this.#signal = AbortSignal.any([of.signal, this.#ended.signal]);
    this.#handled = of.claim.cursor;
    this.#committed = of.claim.cursor;
    this.#sentMs = of.claimedMs;
    this.#confirmedMs = of.claimedMs;
    this.#timer = setInterval(() => void this.#renew(), this.#claimMs / 6);
  }

  /** @throws GranaryError SUBSCRIPTION_LOST when another may have taken over; what reading ends with */
  async *events(
    of: Pick<EventsOptions, "org" | "project" | "onRetry">,
  ): AsyncGenerator<CloudEvent, void, undefined> {
    try {
      const options = { ...of, from: this.#handled, signal: this.#signal };
      const events = readEvents(this.#requests, options, (place) => this.goTo(place));
      for await (const event of events) {
        if (performance.now() - this.#confirmedMs > this.#claimMs) this.#lose(lost("the claim ran out"));
        if (this.#lost !== undefined) break;
        yield event;
        this.#handled = event.granarycursor;
        if (performance.now() - this.#sentMs >= COMMIT_MS) await this.#renew();
      }
    } catch (error) {
      throw this.#lost ?? error;
    }
    if (this.#lost !== undefined) throw this.#lost;
  }

  /** Everything up to here counts as handled. */
  goTo(cursor: string): void {
    this.#handled = cursor;
  }

  /** Commits what has been handled and ends the claim; a claim that is lost has ended. */
  async leave(): Promise<void> {
    this.#ended.abort();
    clearInterval(this.#timer);
    if (this.#lost === undefined) await this.#commit(true).catch(() => undefined);
  }

  /** A farm that is away is no loss yet: only the end of the claim is. */
  async #renew(): Promise<void> {
    const isYoung = performance.now() - this.#confirmedMs < this.#claimMs / 3;
    if (isYoung && this.#handled === this.#committed) return;
    await this.#commit(false).catch((error: unknown) => {
      if (!isPassing(error)) this.#lose(error);
    });
  }

  async #commit(leave: boolean): Promise<void> {
    const cursor = this.#handled;
    const sentMs = performance.now();
    this.#sentMs = sentMs;
    const body = { epoch: this.#epoch, cursor, leave, ttl_s: this.#claimMs / 1000 };
    await this.#requests.json("POST", `${this.#path}:commit`, body);
    this.#committed = cursor;
    this.#confirmedMs = sentMs;
  }

  #lose(error: unknown): void {
    this.#lost ??= error;
    this.#ended.abort();
  }
}

function lost(why: string): GranaryError {
  return new GranaryError(
    "SUBSCRIPTION_LOST",
    `this subscriber does not read for its group any more: ${why}`,
  );
}

/** Stands by until the group is free. @returns undefined: aborted */
async function claimWhenFree(
  requests: Requests,
  of: { org: string; project?: string },
  options: Claimed,
): Promise<{ claim: SubscriptionJson; claimedMs: number } | undefined> {
  const { holder, from, claimMs, signal } = options;
  const body = {
    holder,
    ttl_s: claimMs / 1000,
    ...(from === undefined ? {} : { from }),
    ...(of.project === undefined ? {} : { project: of.project }),
  };
  while (!signal.aborted) {
    const claimed = await persist(options, async () => {
      const claimedMs = performance.now();
      const path = `${pathOf(of.org, options.group)}:claim`;
      return { claim: await requests.json<SubscriptionJson>("POST", path, body, signal), claimedMs };
    });
    if (claimed === undefined || claimed.claim.held === true) return claimed;
    await sleep(STAND_BY_MS, undefined, { signal }).catch(() => undefined);
  }
  return undefined;
}

function pathOf(org: string, group: string): string {
  return `/v1/orgs/${encodeURIComponent(org)}/subscriptions/${encodeURIComponent(group)}`;
}

/** Whose events: the token's org where none is named. @returns undefined: aborted */
async function feedOf(
  requests: Requests,
  options: Claimed,
): Promise<{ org: string; project?: string } | undefined> {
  const { org, ...project } = nameProject(options);
  if (org !== undefined) return { org, ...project };
  const whoami = await persist(options, () =>
    requests.json<WhoamiJson>("GET", "/v1/whoami", undefined, options.signal),
  );
  return whoami === undefined ? undefined : { org: whoami.org, ...project };
}

/** Asks again for as long as it may go well later. @returns undefined: aborted */
async function persist<T>(
  { signal, onRetry }: Pick<Claimed, "signal" | "onRetry">,
  ask: () => Promise<T>,
): Promise<T | undefined> {
  for (let failures = 1; !signal.aborted; failures += 1) {
    try {
      return await ask();
    } catch (error) {
      if (signal.aborted) return undefined;
      if (!isPassing(error)) throw error;
      onRetry?.(error);
      await pause(error, failures, signal).catch(() => undefined);
    }
  }
  return undefined;
}
