import type { LogLineJson, PublishLogJson } from "../../proto/http-log.ts";
import { LIMITS } from "../../proto/limits.ts";
import {
  formatLogCursor,
  isBehindInLog,
  type LogCursor,
  type LogLine,
  parseLogCursor,
} from "../../proto/publish-log.ts";
import { type PublishState, TERMINAL_STATES } from "../../proto/records.ts";
import type { HttpRequest, HttpServer } from "../shared/http-server.ts";
import { findPublish } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { readable } from "./publish-routes.ts";
import { readPublishLog } from "./read-publish-log.ts";
import { numberQuery, query } from "./request.ts";
import { sendServerEvents, wantsEventStream } from "./server-events.ts";

const BEGINNING: LogCursor = { attempt: -1, n: 0 };

/** `GET /v1/publishes/{id}/logs`: what a publish was told about itself; as SSE it follows until the publish has ended. */
export function publishLogRoute(server: HttpServer, context: ApiContext): void {
  server.get("/v1/publishes/:id/logs", async (request, reply) => {
    const record = readable(context, request);
    const from = cursorOf(request);
    if (wantsEventStream(request)) {
      await sendServerEvents(context, request, reply, feedOf(context, record.publish_id, from));
      return reply;
    }
    const limit = numberQuery(request, "limit", {
      min: 1,
      max: LIMITS.pageItems,
      fallback: LIMITS.pageItems,
    });
    const behind = (await readPublishLog(context, record)).filter((line) => isBehindInLog(line, from));
    const page = behind.slice(0, limit);
    const answer: PublishLogJson = {
      items: page.map(lineJson),
      next_cursor: behind.length > limit ? formatLogCursor(page.at(-1) ?? from) : null,
      state: record.state,
    };
    return reply.send(answer);
  });
}

function cursorOf(request: HttpRequest): LogCursor {
  const text = request.headers["last-event-id"] ?? query(request, "cursor");
  return typeof text === "string" ? parseLogCursor(text) : BEGINNING;
}

function feedOf(
  context: ApiContext,
  publishId: string,
  from: LogCursor,
): Parameters<typeof sendServerEvents>[3] {
  let after = from;
  return {
    subscribe: (ring) => {
      const stopLines = context.publishLogs.onLine((id) => {
        if (id === publishId) ring();
      });
      const stopApplied = context.replica.onApplied(({ publishes }) => {
        if (publishes.includes(publishId)) ring();
      });
      return () => {
        stopLines();
        stopApplied();
      };
    },
    next: async () => {
      const record = context.read((view) => findPublish(view, publishId));
      if (record === undefined) return { frames: [], next: "end" };
      const lines = (await readPublishLog(context, record)).filter((line) => isBehindInLog(line, after));
      after = lines.at(-1) ?? after;
      const over = TERMINAL_STATES.has(record.state);
      return {
        frames: [...lines.map(lineFrame), ...(over ? [endFrame(record.state)] : [])],
        next: over ? "end" : "wait",
      };
    },
  };
}

function lineJson(line: LogLine): LogLineJson {
  const { at, level, text } = line;
  return { cursor: formatLogCursor(line), at, level, text };
}

function lineFrame(line: LogLine): string {
  return `id: ${formatLogCursor(line)}\nevent: line\ndata: ${JSON.stringify(lineJson(line))}\n\n`;
}

function endFrame(state: PublishState): string {
  return `event: end\ndata: ${JSON.stringify({ state })}\n\n`;
}
