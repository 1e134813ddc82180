import { GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import { FairShare } from "../shared/fair-share.ts";
import type { HttpReply, HttpRequest } from "../shared/http-server.ts";
import type { ApiContext } from "./context.ts";
import { principalOf } from "./request.ts";
import { RECHECK_TOKEN_MS } from "./wait.ts";

const KEEP_ALIVE_MS = 15_000;

/** What a client follows. */
interface ServerFeed {
  /** Frames behind those of the call before. */
  next(): ServerFrames | Promise<ServerFrames>;
  /** Rings when something may be new. @returns what stops that */
  subscribe(ring: () => void): () => void;
  /**
   * Asked while it waits: the place up to which there is no more. It is told as an `id` alone, so that the cursor of a reader of what is
   * quiet does not grow older than what is kept.
   */
  place?(): string;
}

/** Whether frames are asked for instead of a page: by name, or, where no form is asked for, by what only readers of frames send. */
export function wantsEventStream({ headers }: HttpRequest): boolean {
  const accept = headers.accept ?? "";
  if (accept.includes("text/event-stream")) return true;
  return headers["last-event-id"] !== undefined && !accept.includes("json");
}

interface ServerFrames {
  readonly frames: readonly string[];
  /** Ask again at once, when something is new, or never. */
  readonly next: "more" | "wait" | "end";
}

/** Of this process: an org's readers, however many and slow, leave room for those of others. */
const feeds = new FairShare(LIMITS.eventFeeds);

/**
 * Answers with a text/event-stream until the feed is over, the client or the server goes, or the token dies. Only a feed that is over ends
 * as HTTP answers end: one that was cut off breaks, so that nobody takes what came for all there is.
 * @throws GranaryError RATE_LIMITED while the org has as many open as it may
 */
export async function sendServerEvents(
  context: ApiContext,
  request: HttpRequest,
  reply: HttpReply,
  feed: ServerFeed,
): Promise<void> {
  const { org } = principalOf(context, request);
  if (!feeds.take(org, 1)) {
    const limit = feeds.limitOf(org);
    const message = `${org} has ${limit} event streams open`;
    throw new GranaryError("RATE_LIMITED", message, { limit, retry_after_s: 5 });
  }
  try {
    await follow(context, request, reply, feed);
  } finally {
    feeds.give(org, 1);
  }
}

async function follow(
  context: ApiContext,
  request: HttpRequest,
  reply: HttpReply,
  feed: ServerFeed,
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
  const unsubscribe = feed.subscribe(wake.ring);
  let waits = false;
  const keepAlive = setInterval(() => {
    const place = waits ? feed.place?.() : undefined;
    out.write(place === undefined ? ": keep-alive\n\n" : `id: ${place}\n\n`);
  }, KEEP_ALIVE_MS);
  // A token may expire while nothing happens, or while the reader takes nothing more.
  let takenMs = context.now();
  const recheck = setInterval(() => {
    if (!out.writableNeedDrain) takenMs = context.now();
    // It comes back to where it was, if it ever reads again; until then it would hold its page and its place.
    else if (context.now() - takenMs > LIMITS.answerIdleMs || !isValid(context, request)) out.destroy();
    wake.ring();
  }, RECHECK_TOKEN_MS);
  let open = true;
  let isWhole = false;
  const end = (): void => {
    open = false;
    wake.ring();
  };
  out.on("close", end);
  out.on("drain", () => {
    takenMs = context.now();
  });
  context.closing.addEventListener("abort", end);
  if (context.closing.aborted) end();
  try {
    while (open) {
      principalOf(context, request);
      const { frames, next } = await feed.next();
      // Behind its close an answer never drains: nothing is written to it, or waited for, any more.
      for (const frame of frames) if (open && !out.write(frame)) await drained(out);
      isWhole = next === "end";
      if (isWhole) break;
      // What is looked through and not sent, however much, lets the others have their turns.
      waits = next === "wait";
      await (waits ? wake.rung() : new Promise(setImmediate));
      waits = false;
    }
  } catch (error) {
    context.log.info({ request_id: request.id, err: error }, "event feed ended");
  } finally {
    clearInterval(keepAlive);
    clearInterval(recheck);
    unsubscribe();
    context.closing.removeEventListener("abort", end);
    if (isWhole) out.end();
    else out.destroy();
  }
}

function isValid(context: ApiContext, request: HttpRequest): boolean {
  try {
    principalOf(context, request);
    return true;
  } catch {
    return false;
  }
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
