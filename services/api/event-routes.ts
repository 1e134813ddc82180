import { EVENT_FORMATS, type EventFormat, renderEvent } from "../../proto/cd-events.ts";
import { GranaryError } from "../../proto/errors.ts";
import {
  behindCommand,
  type Cursor,
  type EventRecord,
  type EventType,
  formatCursor,
  isBehind,
  parseCursor,
} from "../../proto/events.ts";
import { LIMITS } from "../../proto/limits.ts";
import { type Name, parseName } from "../../proto/names.ts";
import { type PublishRecord, TERMINAL_STATES } from "../../proto/records.ts";
import type { EventSnapshotJson } from "../../proto/webhook-http.ts";
import { authorize, notFound } from "../shared/authenticate.ts";
import type { HttpReply, HttpRequest, HttpServer } from "../shared/http-server.ts";
import { isLostPlace } from "../shared/lost-places.ts";
import { toProblem } from "../shared/problem.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { KEYS } from "../shared/state-keys.ts";
import {
  findOrg,
  findProject,
  findPublish,
  listEvents,
  listProjects,
  type PageOptions,
} from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { readable } from "./publish-routes.ts";
import { pageOf } from "./read-routes.ts";
import { booleanQuery, numberQuery, principalOf, query } from "./request.ts";
import { sendServerEvents, wantsEventStream } from "./server-events.ts";

/** Events that a stream takes at once: they stay in memory until the reader has taken them. */
const FEED_EVENTS = 50;

/**
 * The event feed of an org, from the state itself: gap-free per project, replayable from any cursor. As SSE it follows; an
 * event is sent once per connection, in log order, with the cursor behind it as its id.
 */
export function eventRoutes(server: HttpServer, context: ApiContext): void {
  server.get("/v1/events", async (request, reply) => {
    const feed = feedOf(context, request);
    const why = whyExpired(context, feed) ?? (await aheadOfLog(context, feed));
    if (why !== undefined) {
      const error = new GranaryError("CURSOR_EXPIRED", `${formatCursor(feed.after)} ${why}`);
      reply.code(410).type("application/problem+json");
      return reply.send({ ...toProblem(error, request.id), snapshot: snapshotOf(context, feed.of, {}) });
    }
    if (!wantsEventStream(request)) {
      const limit = numberQuery(request, "limit", { min: 1, max: LIMITS.pageItems, fallback: 50 });
      const events = context.read((view) => listEvents(view, feed.of, { after: feed.after, limit }));
      const last = events.at(-1);
      return reply.send({
        items: events.map((event) => renderEvent(event, feed.format)),
        next_cursor: last !== undefined && events.length === limit ? formatCursor(last) : null,
      });
    }
    await streamEvents(context, request, reply, feed);
    return reply;
  });

  server.get("/v1/publishes/:id/events", async (request, reply) => {
    const publish = readable(context, request);
    const { org, project, order } = publish;
    const after = behindCommand(order - 1);
    const resumed = request.headers["last-event-id"];
    const seen = typeof resumed === "string" ? parseCursor(resumed) : after;
    await streamEvents(context, request, reply, {
      of: { org, project },
      after,
      format: formatOf(request),
      follow: true,
      only: { publish, seen },
    });
    return reply;
  });

  server.get("/v1/events/snapshot", async (request, reply) => {
    const { of } = feedOf(context, request, null);
    return reply.send(snapshotOf(context, of, pageOf(request)));
  });
}

/** `0-0` is the beginning of what is kept; any other place promises that nothing behind it is missing. */
function whyExpired(context: ApiContext, { of, after }: Feed): string | undefined {
  if (after.seq === 0) return undefined;
  return context.read((view) => {
    if (isLostPlace(view, after.seq))
      return "is of what was lost and undone since, by a restore or with the log";
    const through = view.get(KEYS.eventsTrimmed(of.org))?.through;
    return through !== undefined && isBehind(parseCursor(through), after) ? "is no longer kept" : undefined;
  });
}

/** A cursor that nobody was given here: of another farm, or of one whose newest events were lost. To wait there would miss what comes. */
async function aheadOfLog(context: ApiContext, { after }: Feed): Promise<string | undefined> {
  if (after.seq <= context.replica.appliedSeq) return undefined;
  await context.barrier();
  return after.seq <= context.replica.appliedSeq
    ? undefined
    : "is ahead of everything that has happened here";
}

/**
 * What is live, and the cursor behind which everything else happens: a subscriber that takes both over has no gap. Later pages are of
 * a later moment; whoever needs them goes on from the cursor of the first, and knows by `event_n` what it has seen.
 */
function snapshotOf(context: ApiContext, of: Feed["of"], page: PageOptions): EventSnapshotJson {
  return context.read((view) => {
    const { items, next_cursor } =
      of.project === undefined
        ? listProjects(view, of.org, page)
        : { items: [findProject(view, { ...of, project: of.project }) ?? []].flat(), next_cursor: null };
    return {
      cursor: formatCursor(behindCommand(view.get(KEYS.meta())?.seq ?? 0)),
      projects: items.map(({ project, current, generation, event_n }) => ({
        project,
        current,
        generation,
        event_n,
      })),
      next_cursor,
    };
  });
}

interface Feed {
  readonly of: { readonly org: Name; readonly project?: Name };
  readonly after: Cursor;
  readonly format: EventFormat;
  /** Whether a stream goes on with what happens from now on. */
  readonly follow: boolean;
  /** Only what happens to this publish, until it has ended; not again what the reader has seen. */
  readonly only?: { readonly publish: PublishRecord; readonly seen: Cursor };
}

/** What `?org=&project=&follow=` ask for. @param from the cursor; null: there is none in this request */
export function feedOf(
  context: ApiContext,
  request: HttpRequest,
  from: unknown = request.headers["last-event-id"] ?? query(request, "cursor"),
): Feed {
  const principal = principalOf(context, request);
  const org = parseName(query(request, "org") ?? principal.org, "org");
  const project = query(request, "project") ?? principal.project;
  const of = project === undefined ? { org } : { org, project: parseName(project, "project") };
  authorize(principal, "read", of);
  if (context.read((view) => findOrg(view, org)) === undefined) throw notFound({ org });
  return {
    of,
    after: parseCursor(typeof from === "string" ? from : "0-0"),
    format: formatOf(request),
    follow: booleanQuery(request, "follow") ?? true,
  };
}

function formatOf(request: HttpRequest): EventFormat {
  const text = query(request, "format") ?? "granary";
  const format = EVENT_FORMATS.find((known) => known === text);
  if (format !== undefined) return format;
  throw new GranaryError("USAGE", `format must be one of ${EVENT_FORMATS.join(", ")}`, {
    pointer: "?format",
  });
}

/** Server-sent events of a feed, until it is over, the client leaves, or the token is no longer valid. */
export function streamEvents(
  context: ApiContext,
  request: HttpRequest,
  reply: HttpReply,
  feed: Feed,
): Promise<void> {
  let after = feed.after;
  const filter = publishFilter(feed.only);
  return sendServerEvents(context, request, reply, {
    // Session starts alone are hundreds of groups a second, and every feed would look at the state after each.
    subscribe: (ring) =>
      context.replica.onApplied(({ orgs }) => {
        if (orgs.includes(feed.of.org)) ring();
      }),
    next: () => {
      const { events, follow, seq } = context.read((view) => ({
        events: listEvents(view, feed.of, { after, limit: FEED_EVENTS }),
        seq: view.get(KEYS.meta())?.seq ?? 0,
        follow: feed.follow && !hasEnded(view, feed.only?.publish),
      }));
      const frames: string[] = [];
      for (const event of events) {
        const verdict = filter(event);
        if (verdict === "end") return { frames, next: "end" };
        if (verdict === "send") frames.push(frame(event, feed.format));
        after = event;
      }
      if (events.length > 0) return { frames, next: "more" };
      after = behindCommand(seq);
      return { frames, next: follow ? "wait" : "end" };
    },
    ...(feed.only === undefined && { place: () => formatCursor(after) }),
  });
}

/** Picks the events of a publish and what its end brought about: the activation has the same place in the log. */
function publishFilter(only: Feed["only"]): (event: EventRecord) => "send" | "skip" | "end" {
  if (only === undefined) return () => "send";
  const id = only.publish.publish_id;
  let endSeq: number | undefined;
  return (event) => {
    if (endSeq !== undefined && event.seq !== endSeq) return "end";
    if (endSeq === undefined && event.subject !== id && event.data["publish_id"] !== id) return "skip";
    if (ENDS.has(event.type)) endSeq = event.seq;
    return isBehind(event, only.seen) ? "send" : "skip";
  };
}

function hasEnded(view: StateView, publish: PublishRecord | undefined): boolean {
  if (publish === undefined) return false;
  return TERMINAL_STATES.has(findPublish(view, publish.publish_id)?.state ?? "failed");
}

/** Events of a publish after which there is only what the same command brought about. */
const ENDS: ReadonlySet<EventType> = new Set<EventType>([
  "publish.failed",
  "publish.cancelled",
  "publish.existing",
  "publish.overtaken",
  "release.ready",
  "preview.created",
  "preview.updated",
]);

/** The name is ours in every format: a reader may choose by it. */
function frame(event: EventRecord, format: EventFormat): string {
  const data = JSON.stringify(renderEvent(event, format));
  return `id: ${formatCursor(event)}\nevent: ${event.type}\ndata: ${data}\n\n`;
}
