import {
  type Cursor,
  type EventRecord,
  formatCursor,
  parseCursor,
  toCloudEvent,
} from "../../proto/events.ts";
import { LIMITS } from "../../proto/limits.ts";
import { type Name, parseName } from "../../proto/names.ts";
import { authorize, notFound } from "../shared/authenticate.ts";
import type { HttpReply, HttpRequest, HttpServer } from "../shared/http-server.ts";
import { findOrg, listEvents } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { booleanQuery, numberQuery, principalOf, query } from "./request.ts";

const KEEP_ALIVE_MS = 15_000;

/**
 * The event feed of an org, from the state itself: gap-free per project, replayable from any cursor. As SSE it follows; an
 * event is sent once per connection, in log order, with the cursor behind it as its id.
 */
export function eventRoutes(server: HttpServer, context: ApiContext): void {
  server.get("/v1/events", async (request, reply) => {
    const feed = feedOf(context, request);
    if (!String(request.headers.accept ?? "").includes("text/event-stream")) {
      const limit = numberQuery(request, "limit", { min: 1, max: LIMITS.pageItems, fallback: 50 });
      const events = context.read((view) => listEvents(view, feed.of, { after: feed.after, limit }));
      const last = events.at(-1);
      return reply.send({
        items: events.map(toCloudEvent),
        next_cursor: last !== undefined && events.length === limit ? formatCursor(last) : null,
      });
    }
    await stream(context, request, reply, feed);
    return reply;
  });
}

interface Feed {
  readonly of: { readonly org: Name; readonly project?: Name };
  readonly after: Cursor;
  /** Whether a stream goes on with what happens from now on. */
  readonly follow: boolean;
}

function feedOf(context: ApiContext, request: HttpRequest): Feed {
  const principal = principalOf(context, request);
  const org = parseName(query(request, "org") ?? principal.org, "org");
  const project = query(request, "project") ?? principal.project;
  const of = project === undefined ? { org } : { org, project: parseName(project, "project") };
  authorize(principal, "read", of);
  if (context.read((view) => findOrg(view, org)) === undefined) throw notFound({ org });
  const from = request.headers["last-event-id"] ?? query(request, "cursor");
  return {
    of,
    after: parseCursor(typeof from === "string" ? from : "0-0"),
    follow: booleanQuery(request, "follow") ?? true,
  };
}

async function stream(
  context: ApiContext,
  request: HttpRequest,
  reply: HttpReply,
  feed: Feed,
): Promise<void> {
  const out = reply.hijack().raw;
  out.writeHead(200, {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
    "x-request-id": request.id,
  });
  // Without this the client hears nothing before the first event.
  out.flushHeaders();
  const wake = createWake();
  const stopApplied = context.replica.onApplied(wake.ring);
  const keepAlive = setInterval(() => out.write(": keep-alive\n\n"), KEEP_ALIVE_MS);
  let open = true;
  const end = (): void => {
    open = false;
    wake.ring();
  };
  out.on("close", end);
  context.closing.addEventListener("abort", end);
  if (context.closing.aborted) end();
  let after = feed.after;
  try {
    while (open) {
      // Revoked or expired meanwhile: the feed ends, the reconnect is refused.
      principalOf(context, request);
      const events = context.read((view) => listEvents(view, feed.of, { after, limit: LIMITS.pageItems }));
      if (events.length === 0 && !feed.follow) break;
      if (events.length === 0) await wake.rung();
      for (const event of events) {
        if (!out.write(frame(event))) await drained(out);
        after = event;
      }
    }
  } catch (error) {
    context.log.info({ request_id: request.id, err: error }, "event feed ended");
  } finally {
    clearInterval(keepAlive);
    stopApplied();
    context.closing.removeEventListener("abort", end);
    out.end();
  }
}

function frame(event: EventRecord): string {
  return `id: ${formatCursor(event)}\nevent: ${event.type}\ndata: ${JSON.stringify(toCloudEvent(event))}\n\n`;
}

function drained(out: NodeJS.EventEmitter): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      out.off("drain", done);
      out.off("close", done);
      resolve();
    };
    out.on("drain", done);
    out.on("close", done);
  });
}

/** A bell that is heard even when it rang before anyone listened. */
function createWake(): { ring(): void; rung(): Promise<void> } {
  let pending = false;
  let listener: (() => void) | undefined;
  return {
    ring: () => {
      pending = true;
      listener?.();
    },
    rung: async () => {
      if (!pending) await new Promise<void>((resolve) => (listener = resolve));
      listener = undefined;
      pending = false;
    },
  };
}
