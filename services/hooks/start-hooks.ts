import { randomUUID } from "node:crypto";
import { LIMITS } from "../../proto/limits.ts";
import type { Name } from "../../proto/names.ts";
import type { Replica } from "../shared/replica.ts";
import { RANGES } from "../shared/state-keys.ts";
import { Wake } from "../shared/wake.ts";
import { FairSends } from "./fair-sends.ts";
import { Deposed, type HookContext, runWebhook } from "./run-webhook.ts";

export interface Hooks {
  close(): Promise<void>;
}

/** A lease that was not renewed for this long may be taken; measured by whoever waits for it, so that clocks need not agree. */
const LEASE_MS = 15_000;
const RENEW_MS = 3_000;
/** Well before others may take the lease, its holder stops. */
const HOLD_MS = 10_000;
const RETRY_MS = 1_000;
const POLL_MS = 1_000;
/** Commits that come together wake the webhooks once. */
const GATHER_MS = 20;

/**
 * The role `hooks`: one process of a farm delivers, the others stand by. The lease only saves double work; what keeps the places
 * right is that each is written over the revision that was read.
 * @param options.alone no other process can hold the lease: it is taken at once
 */
export function startHooks(
  context: HookContext & { readonly replica: Pick<Replica, "onApplied"> },
  options: { alone: boolean },
): Hooks {
  const closing = new AbortController();
  const { signal } = closing;
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        const revision = await takeLease(context, { alone: options.alone, signal });
        if (revision !== undefined) await deliverAll(context, { revision, signal });
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof Deposed))
          context.log.warn({ err: String(error) }, "webhooks wait for the bus");
        await new Wake().wait(RETRY_MS, signal);
      }
    }
  };
  const running = run();
  return {
    async close() {
      closing.abort();
      await running;
    },
  };
}

interface LeaseRow {
  readonly owner: string | null;
}

const LEASE = "lease";

/** Waits for the lease and takes it. @returns its revision; undefined: closing, or someone else was faster */
async function takeLease(
  context: HookContext,
  options: { alone: boolean; signal: AbortSignal },
): Promise<number | undefined> {
  const { alone, signal } = options;
  let seen = await context.hooks.read<LeaseRow>(LEASE);
  let seenMs = performance.now();
  while (!alone && seen !== undefined && seen.value.owner !== null && performance.now() - seenMs < LEASE_MS) {
    await new Wake().wait(POLL_MS, signal);
    if (signal.aborted) return undefined;
    const now = await context.hooks.read<LeaseRow>(LEASE);
    if (now?.revision === seen.revision) continue;
    seen = now;
    seenMs = performance.now();
  }
  return context.hooks.write(LEASE, { owner: randomUUID() }, seen?.revision ?? 0);
}

/** Delivers to every webhook while the lease is held, and gives it back in the end. */
async function deliverAll(
  context: HookContext & { readonly replica: Pick<Replica, "onApplied"> },
  options: { revision: number; signal: AbortSignal },
): Promise<void> {
  const session = new AbortController();
  const signal = AbortSignal.any([session.signal, options.signal]);
  const wakes = new Map<string, Wake>();
  const running = new Set<Promise<void>>();
  const sends = new FairSends(LIMITS.webhookDeliveries);
  const limited: HookContext = {
    ...context,
    send: (message, sending) => sends.run(message.org, () => context.send(message, sending)),
  };
  let failure: unknown;
  /** @param orgs undefined: all */
  const look = (orgs: readonly (Name | undefined)[]): void => {
    const webhooks = context.read((view) =>
      orgs.flatMap((org) => [...view.range(RANGES.webhooks(org))].map((row) => row.value)),
    );
    for (const { org, id } of webhooks) {
      const known = wakes.get(id);
      if (known !== undefined) {
        known.wake();
        continue;
      }
      const wake = new Wake();
      wakes.set(id, wake);
      const done = runWebhook(limited, { org, id, wake, signal })
        .catch((error: unknown) => {
          failure ??= error;
          session.abort();
        })
        .finally(() => {
          wakes.delete(id);
          running.delete(done);
        });
      running.add(done);
    }
  };
  let due: NodeJS.Timeout | undefined;
  const touched = new Set<Name>();
  const stopApplied = context.replica.onApplied(({ orgs }) => {
    for (const org of orgs) touched.add(org);
    // Most groups are session starts, of which no webhook hears.
    if (touched.size === 0) return;
    due ??= setTimeout(() => {
      due = undefined;
      const some = [...touched];
      touched.clear();
      if (!signal.aborted) look(some);
    }, GATHER_MS);
  });
  let revision = options.revision;
  try {
    look([undefined]);
    revision = await holdLease(context, { revision, signal });
  } finally {
    stopApplied();
    clearTimeout(due);
    session.abort();
    await Promise.all(running);
  }
  if (failure !== undefined) throw failure;
  if (options.signal.aborted) await context.hooks.write(LEASE, { owner: null }, revision);
}

/** Renews the lease until aborted. @throws Deposed when it was lost, or could not be renewed in time */
async function holdLease(
  context: HookContext,
  options: { revision: number; signal: AbortSignal },
): Promise<number> {
  const owner = randomUUID();
  let { revision } = options;
  let heldMs = performance.now();
  for (;;) {
    await new Wake().wait(RENEW_MS, options.signal);
    if (options.signal.aborted) return revision;
    const renewed = await context.hooks.write(LEASE, { owner }, revision).catch(() => "unknown" as const);
    if (renewed === undefined) throw new Deposed("the lease was taken");
    if (renewed !== "unknown") {
      revision = renewed;
      heldMs = performance.now();
    } else if (performance.now() - heldMs > HOLD_MS) throw new Deposed("the lease could not be renewed");
  }
}
