import { setInterval } from "node:timers";
import { GranaryError } from "../../proto/errors.ts";
import type { HttpServer } from "../shared/http-server.ts";
import type { Replica } from "../shared/replica.ts";

/** Within this time a token that was revoked elsewhere is dead here, too (ruling 12). */
const STALE_MS = 2_000;
const CHECK_INTERVAL_MS = 250;

/**
 * Refuses requests while the head of a log that other processes write to cannot be confirmed: what is known here may be
 * outdated, tokens included. With a nats-server of its own a process is the only writer, and its state stays right.
 * @returns what ends the watch
 */
export function refuseWhenStale(http: HttpServer, replica: Pick<Replica, "health">): () => void {
  let confirmedMs = performance.now();
  const timer = setInterval(() => {
    if (replica.health().up) confirmedMs = performance.now();
  }, CHECK_INTERVAL_MS);
  http.addHook("onRequest", (request, _reply, done) => {
    const isStale = performance.now() - confirmedMs > STALE_MS && /^\/v[12](?:\/|$)/.test(request.url);
    done(
      isStale
        ? new GranaryError(
            "UNAVAILABLE",
            "the command log does not answer: what is known here may be outdated",
          )
        : undefined,
    );
  });
  return () => clearInterval(timer);
}
