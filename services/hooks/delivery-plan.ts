import { type Cursor, type EventRecord, formatCursor, isBehind, parseCursor } from "../../proto/events.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { Name } from "../../proto/names.ts";
import { type WebhookRecord, type WebhookRequest, wantsType } from "../../proto/webhooks.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { KEYS } from "../shared/state-keys.ts";
import { listEvents } from "../shared/state-queries.ts";
import type { Attempt } from "./send-webhook.ts";

/**
 * How far a webhook's deliveries got. Pure data and pure functions: which event is next, and what an attempt changes.
 *
 * Events go out one after the other, in order per project. A project whose event failed leaves the feed and waits in a lane of its
 * own, so that others go on; it comes back when it has caught up. An endpoint that fails is left alone as a whole for as long
 * as its failures in a row say: one that is down gets one attempt per step, not one per project.
 */
export interface Progress {
  /** Everything up to here was sent, is not wanted, or waits in a lane. */
  readonly cursor: string;
  readonly lanes: Readonly<Record<string, Lane>>;
  /** In a row, over all projects. */
  readonly failures: number;
  /** Nothing is sent before. */
  readonly next_ms: number;
  /** Revision of the webhook that the failures belong to. */
  readonly revision: number;
  /** The last request by hand that was answered. */
  readonly handled: number;
  /** Feed and lanes take turns. */
  readonly turn: "feed" | "lane";
}

interface Lane {
  /** The project's last event that is done. */
  readonly at: string;
  /** Failures of its next one while the endpoint took others. */
  readonly attempt: number;
  readonly next_ms: number;
}

/** What to do next. `progress` has moved over what is not wanted, whatever the plan says. */
export type Plan =
  | { readonly kind: "send"; readonly progress: Progress; readonly item: Item }
  | { readonly kind: "wait"; readonly progress: Progress; readonly untilMs: number | undefined }
  /** Many events were looked at and none is wanted: ask again. */
  | { readonly kind: "again"; readonly progress: Progress };

type Item =
  | { readonly from: "feed" | "lane"; readonly event: EventRecord; readonly attempt: number }
  | { readonly from: "request"; readonly request: WebhookRequest; readonly event: EventRecord | undefined };

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** Waits after the first failure, the second, ...: three days in all. */
export const LADDER_MS: readonly number[] = [
  5 * SECOND,
  30 * SECOND,
  2 * MINUTE,
  10 * MINUTE,
  30 * MINUTE,
  HOUR,
  3 * HOUR,
  ...Array.from({ length: 11 }, () => 6 * HOUR),
];
const LONGEST_MS = 6 * HOUR;
/** Events looked at in one plan: it runs on the event loop. */
const LOOK_MAX = 1_000;

export function firstProgress(webhook: WebhookRecord): Progress {
  return {
    cursor: formatCursor({ seq: webhook.created_seq, k: 0 }),
    lanes: {},
    failures: 0,
    next_ms: 0,
    revision: webhook.revision,
    handled: 0,
    turn: "feed",
  };
}

export function planDelivery(
  view: StateView,
  webhook: WebhookRecord,
  options: { progress: Progress; nowMs: number },
): Plan {
  const { nowMs } = options;
  let progress = adoptRevision(options.progress, webhook);
  for (const request of webhook.requests.filter(({ seq }) => seq > options.progress.handled)) {
    if (request.kind === "from") progress = restart(progress, request);
    else {
      const event = request.kind === "event" ? view.get(KEYS.event(parseCursor(request.cursor))) : undefined;
      if (request.kind === "ping" || event !== undefined)
        return { kind: "send", progress, item: { from: "request", request, event } };
      progress = { ...progress, handled: request.seq };
    }
  }
  if (!webhook.enabled) return { kind: "wait", progress, untilMs: undefined };
  if (progress.next_ms > nowMs) return { kind: "wait", progress, untilMs: progress.next_ms };
  const looks = progress.turn === "feed" ? [lookAtFeed, lookAtLanes] : [lookAtLanes, lookAtFeed];
  let again = false;
  for (const look of looks) {
    const found = look(view, webhook, { progress, nowMs });
    if (found.kind === "send") return found;
    again ||= found.kind === "again";
    progress = found.progress;
  }
  if (again) return { kind: "again", progress };
  const next = Object.values(progress.lanes).map((lane) => lane.next_ms);
  return { kind: "wait", progress, untilMs: next.length === 0 ? undefined : Math.min(...next) };
}

/** Whoever changed the webhook wants to see it tried. */
function adoptRevision(progress: Progress, webhook: WebhookRecord): Progress {
  if (progress.revision === webhook.revision) return progress;
  const lanes = mapLanes(progress.lanes, (lane) => ({ ...lane, attempt: 0, next_ms: 0 }));
  return { ...progress, lanes, failures: 0, next_ms: 0, revision: webhook.revision };
}

function restart(progress: Progress, request: WebhookRequest & { kind: "from" }): Progress {
  return {
    ...progress,
    cursor: request.cursor,
    lanes: {},
    failures: 0,
    next_ms: 0,
    handled: request.seq,
    turn: "feed",
  };
}

type Look = { progress: Progress; nowMs: number };

function lookAtFeed(view: StateView, webhook: WebhookRecord, { progress }: Look): Plan {
  const of = { org: webhook.org, ...(webhook.project !== undefined && { project: webhook.project }) };
  // With that many projects in trouble there is no order left to keep for the others.
  const full = Object.keys(progress.lanes).length >= LIMITS.webhookLanes;
  let cursor = parseCursor(progress.cursor);
  for (let looked = 0; looked < LOOK_MAX && !full; ) {
    const events = listEvents(view, of, { after: cursor });
    for (const event of events) {
      const wanted = wantsType(webhook.types, event.type) && laneOf(progress, event.project) === undefined;
      if (wanted) return sendFrom("feed", moved(progress, cursor), event, 1);
      cursor = event;
    }
    if (events.length === 0) return { kind: "wait", progress: moved(progress, cursor), untilMs: undefined };
    looked += events.length;
  }
  return { kind: full ? "wait" : "again", progress: moved(progress, cursor), untilMs: undefined };
}

function lookAtLanes(view: StateView, webhook: WebhookRecord, { progress, nowMs }: Look): Plan {
  const end = parseCursor(progress.cursor);
  const lanes = { ...progress.lanes };
  const due = Object.entries(lanes)
    .filter(([, lane]) => lane.next_ms <= nowMs)
    .sort(([, a], [, b]) => a.next_ms - b.next_ms);
  for (const [name, lane] of due) {
    const project = name as Name;
    const events = listEvents(view, { org: webhook.org, project }, { after: parseCursor(lane.at) }).filter(
      (event) => !isBehind(event, end),
    );
    const event = events.find(({ type }) => wantsType(webhook.types, type));
    if (event !== undefined) return sendFrom("lane", { ...progress, lanes }, event, lane.attempt + 1);
    const last = events.at(-1);
    if (last === undefined) delete lanes[name];
    else {
      lanes[name] = { ...lane, at: formatCursor(last) };
      return { kind: "again", progress: { ...progress, lanes } };
    }
  }
  return { kind: "wait", progress: { ...progress, lanes }, untilMs: undefined };
}

function sendFrom(from: "feed" | "lane", progress: Progress, event: EventRecord, attempt: number): Plan {
  return { kind: "send", progress, item: { from, event, attempt } };
}

function moved(progress: Progress, cursor: Cursor): Progress {
  return { ...progress, cursor: formatCursor(cursor) };
}

/** What an attempt came to. */
export interface Outcome {
  readonly progress: Progress;
  readonly result: "delivered" | "failed" | "given_up";
  /** When the same event is tried again. */
  readonly nextMs: number | undefined;
  /** Why the webhook has to be disabled. */
  readonly disable: string | undefined;
}

/** @param jitter from 0 to 1: spreads the attempts of webhooks that failed together */
export function afterAttempt(
  plan: Plan & { kind: "send" },
  attempt: Attempt,
  options: { nowMs: number; jitter: number },
): Outcome {
  const { progress, item } = plan;
  const delivered = attempt.status !== null && attempt.status >= 200 && attempt.status < 300;
  if (item.from === "request") {
    const result = delivered ? "delivered" : "failed";
    return {
      progress: { ...progress, handled: item.request.seq },
      result,
      nextMs: undefined,
      disable: undefined,
    };
  }
  const turn = item.from === "feed" ? "lane" : "feed";
  if (delivered) {
    const done = { ...passed(progress, item), failures: 0, next_ms: 0, turn } as const;
    return { progress: done, result: "delivered", nextMs: undefined, disable: undefined };
  }
  const failures = progress.failures + 1;
  const wait = (nth: number): number => {
    const ladderMs = LADDER_MS[nth - 1] ?? LONGEST_MS;
    const asked = Math.min(attempt.retryAfterMs ?? 0, LONGEST_MS);
    return options.nowMs + Math.round(Math.max(ladderMs * (1 + 0.1 * options.jitter), asked));
  };
  const failed = { ...progress, failures, next_ms: wait(failures), turn } as const;
  const disable = whyDisable(failures, attempt);
  const lane = laneOf(progress, item.event.project);
  // While the endpoint takes nothing at all, an event is not to blame.
  const blamed = (lane?.attempt ?? 0) + (progress.failures === 0 || lane === undefined ? 1 : 0);
  if (blamed > LADDER_MS.length && disable === undefined)
    return { progress: passed(failed, item), result: "given_up", nextMs: undefined, disable };
  const nextMs = Math.max(wait(blamed), failed.next_ms);
  const place = { at: lane?.at ?? progress.cursor, attempt: blamed, next_ms: wait(blamed) };
  const lanes = { ...progress.lanes, [item.event.project]: place };
  const cursor = item.from === "feed" ? formatCursor(item.event) : progress.cursor;
  return { progress: { ...failed, cursor, lanes }, result: "failed", nextMs, disable };
}

function whyDisable(failures: number, attempt: Attempt): string | undefined {
  if (attempt.status === 410) return "the endpoint answered 410 Gone";
  return failures >= LIMITS.webhookFailures ? `${failures} failures in a row` : undefined;
}

/** The progress behind an event that is done. */
function passed(progress: Progress, item: Item & { from: "feed" | "lane" }): Progress {
  const at = formatCursor(item.event);
  if (item.from === "feed") return { ...progress, cursor: at };
  return {
    ...progress,
    lanes: { ...progress.lanes, [item.event.project]: { at, attempt: 0, next_ms: 0 } },
  };
}

/** The lane that a project waits in. A project may be called `constructor`. */
function laneOf({ lanes }: Progress, project: Name): Lane | undefined {
  return Object.hasOwn(lanes, project) ? lanes[project] : undefined;
}

function mapLanes(lanes: Readonly<Record<string, Lane>>, change: (lane: Lane) => Lane): Record<string, Lane> {
  return Object.fromEntries(Object.entries(lanes).map(([project, lane]) => [project, change(lane)]));
}
