import { setInterval } from "node:timers";
import { GranaryError } from "../../proto/errors.ts";
import type { HttpServer } from "../shared/http-server.ts";
import type { Replica } from "../shared/replica.ts";

/** Within this time a token that was revoked elsewhere is dead here, too (ruling 12). */
const STALE_MS = 2_000;
const CHECK_INTERVAL_MS = 250;
/** How long a request waits for the log before it is refused: a process or a disk that was held up for a moment is no outage. */
const PATIENCE_MS = 1_000;

/** What no token is asked for. */
const OPEN = /^\/(?:livez|readyz|version|openapi\.json)(?:\?|$)/;

/**
 * Holds requests while the head of a log that other processes write to cannot be confirmed, and refuses them when that lasts: what is
 * known here may be outdated, tokens included. With a nats-server of its own a process is the only writer, and its state stays right.
 * @returns what ends the watch
 */
export function refuseWhenStale(
  http: Pick<HttpServer, "addHook">,
  replica: Pick<Replica, "unconfirmedMs">,
): () => void {
  const waiting = new Set<{ readonly sinceMs: number; readonly done: (error?: Error) => void }>();
  const isStale = (): boolean => isUnconfirmed(replica);
  const timer = setInterval(() => {
    for (const request of waiting) {
      if (isStale() && performance.now() - request.sinceMs < PATIENCE_MS) continue;
      waiting.delete(request);
      request.done(isStale() ? stale() : undefined);
    }
  }, CHECK_INTERVAL_MS);
  http.addHook("onRequest", (request, _reply, done) => {
    if (isStale() && !OPEN.test(request.url)) waiting.add({ sinceMs: performance.now(), done });
    else done();
  });
  return () => {
    clearInterval(timer);
    for (const { done } of waiting) done(stale());
  };
}

/** For what is open already: feeds, and answers that are waited for. @throws GranaryError UNAVAILABLE */
export function assertConfirmed(replica: Pick<Replica, "unconfirmedMs">): void {
  if (isUnconfirmed(replica)) throw stale();
}

function isUnconfirmed(replica: Pick<Replica, "unconfirmedMs">): boolean {
  return replica.unconfirmedMs() > STALE_MS;
}

function stale(): GranaryError {
  return new GranaryError(
    "UNAVAILABLE",
    "the command log does not answer: what is known here may be outdated",
  );
}
