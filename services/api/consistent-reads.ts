import { GranaryError } from "../../proto/errors.ts";
import { waitForApplied } from "../shared/barrier.ts";
import type { HttpServer } from "../shared/http-server.ts";
import type { ApiContext } from "./context.ts";
import { booleanQuery, principalOf, query } from "./request.ts";

/**
 * Ruling 12: every answer says in `Granary-Seq` which position of the log holds all that it tells; a read with `?min_seq=` waits
 * until that one is applied here, and one with `?consistent=true` for everything acknowledged before it was sent.
 */
export function consistentReads(server: HttpServer, context: ApiContext): void {
  server.addHook("preHandler", async (request) => {
    if (request.method !== "GET" || !request.url.startsWith("/v1/")) return;
    const minSeq = positionIn(query(request, "min_seq"));
    const consistent = booleanQuery(request, "consistent") === true;
    if (minSeq === undefined && !consistent) return;
    // Nobody without a token makes the farm wait; the route asks again, of the state that was waited for.
    principalOf(context, request);
    if (minSeq !== undefined) await waitForApplied(context.replica, minSeq);
    if (consistent) await context.barrier();
  });
  // Later than what the answer was read from, never earlier: to wait for it is safe.
  server.addHook("onSend", async (request, reply) => {
    if (request.url.startsWith("/v1/")) reply.header("granary-seq", String(context.replica.appliedSeq));
  });
}

function positionIn(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[0-9]{1,15}$/.test(text)) return Number(text);
  throw new GranaryError("USAGE", "min_seq must be a position of the log, as Granary-Seq tells it", {
    pointer: "?min_seq",
  });
}
