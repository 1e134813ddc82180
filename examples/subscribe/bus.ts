/**
 * Hears an org's events from the bus (NATS) as they happen, and misses none: the bus has no memory, so numbers tell of a gap, and the
 * feed over HTTP fills it. Prints each event once; the argument is the cursor to begin at, without it now. Ends when the token is dead,
 * the cursor is too old (410, with a snapshot to begin from), or what was heard has been undone by a restore.
 *
 *   GRANARY_URL=http://127.0.0.1:7421 GRANARY_TOKEN=gr_... node dist/examples/subscribe/bus.js [CURSOR]
 */
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "@nats-io/transport-node";
import type { CloudEvent } from "granary";

const { GRANARY_URL: url = "http://127.0.0.1:7421", GRANARY_TOKEN: token = "" } = process.env;
const { org } = await ask<{ org: string }>("/v1/whoami");

/** Up to where the feed was read: not further, for an event of another project may be missing before the newest that was heard. */
let cursor = process.argv[2];
/** The newest event of each project. */
const seen = new Map<string, CloudEvent>();
/** One thing after the other, however they come in. */
let work = Promise.resolve();

setInterval(() => next(readFeed), 60_000);
for (;;) {
  // Asked again each time: a farm that was restarted may have its nats-server elsewhere.
  const bus = await ask<{ url: string; subject: string; cursor: string }>(`/v1/orgs/${org}/bus`);
  cursor ??= bus.cursor;
  try {
    await listen(bus);
  } catch (error) {
    process.stderr.write(`${String(error)}\n`);
  }
  await sleep(500);
}

/** Until the connection ends. */
async function listen(bus: { url: string; subject: string }): Promise<void> {
  const nats = await connect({ servers: bus.url, user: "example", pass: token, reconnect: false });
  nats.subscribe(bus.subject, {
    callback: (error, message) => {
      if (error === null) next(() => hear(message.json<CloudEvent>()));
    },
  });
  // Subscribed first, read then: what happens in between is heard.
  await nats.flush();
  next(readFeed);
  await nats.closed();
}

function next(step: () => Promise<void>): void {
  work = work.then(step);
}

async function hear(event: CloudEvent): Promise<void> {
  const known = seen.get(event.source);
  if (known !== undefined && Number(event.sequence) === Number(known.sequence) + 1) handle(event);
  else await readFeed(event);
}

/** @param event what has to be in it: the api may hear of it later than the bus */
async function readFeed(event?: CloudEvent): Promise<void> {
  const atLeast = event === undefined ? "" : `&min_seq=${event.granarycursor.split("-")[0]}`;
  for (;;) {
    const page = await ask<{ items: CloudEvent[]; next_cursor: string | null }>(
      `/v1/events?limit=200&cursor=${cursor}${atLeast}`,
    );
    for (const item of page.items) {
      handle(item);
      cursor = item.granarycursor;
    }
    if (page.next_cursor === null) return;
  }
}

function handle(event: CloudEvent): void {
  const known = seen.get(event.source);
  if (known !== undefined && Number(event.sequence) <= Number(known.sequence)) {
    // A farm that was restored gives numbers again, far behind in its log.
    if (place(event) > place(known)) throw new Error(`the farm was restored: ${event.id} is another event now`);
    return;
  }
  seen.set(event.source, event);
  process.stdout.write(`${event.id} ${event.type}\n`);
}

function place(event: CloudEvent): number {
  return Number(event.granarycursor.split("-")[0]);
}

async function ask<T>(path: string): Promise<T> {
  for (;;) {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(url + path, { headers }).catch(() => undefined);
    if (answer?.ok) return (await answer.json()) as T;
    if (answer !== undefined && answer.status !== 503) throw new Error(await answer.text());
    await sleep(500);
  }
}
