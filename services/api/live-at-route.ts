import { actorText } from "../../proto/actor-text.ts";
import { GranaryError } from "../../proto/errors.ts";
import type { LiveAtJson } from "../../proto/http.ts";
import { parseVersion } from "../../proto/names.ts";
import type { HttpServer } from "../shared/http-server.ts";
import { findActivation, findActivationAt, findRelease } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { listedBy } from "./listed-by.ts";
import { projectOf } from "./pointer-routes.ts";
import { releaseJson } from "./render.ts";
import { query, scoped } from "./request.ts";

const PROJECT = "/v1/orgs/:org/projects/:project";
const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)$/;

/** What was live at a time, from the history of the pointer. */
export function liveAtRoute(server: HttpServer, context: ApiContext): void {
  server.get(`${PROJECT}/at`, async (request, reply) => {
    const where = scoped(context, request, "read");
    const project = projectOf(context, where);
    const timeMs = pastTime(query(request, "time"), context.now());
    const time = new Date(timeMs).toISOString();
    const answer = context.read((view): LiveAtJson | undefined => {
      const activation = findActivationAt(view, project, timeMs);
      if (activation === undefined) return undefined;
      const { generation, cause, reason, at: live_from } = activation;
      const release = findRelease(view, where, parseVersion(activation.to) ?? 0);
      if (release === undefined) throw new GranaryError("INTERNAL", `${activation.to} is not in the state`);
      return {
        ...releaseJson(release, context),
        time,
        generation,
        cause,
        ...(reason === undefined ? {} : { reason }),
        live_from,
        live_by: actorText(activation.actor),
        live_until: findActivation(view, where, generation + 1)?.at ?? null,
      };
    });
    if (answer !== undefined) return reply.send(answer);
    const first = context.read((view) => findActivation(view, where, 1));
    throw new GranaryError(
      "NOTHING_ACTIVE",
      `nothing of ${where.org}/${where.project} was live at ${time}: ${first === undefined ? "nothing ever was" : `${first.to} was the first, at ${first.at}`}`,
      listedBy("releases", where),
    );
  });
}

/** @throws GranaryError USAGE when it is no time, or one that is still to come: nobody knows what will be live */
function pastTime(text = "", nowMs: number): number {
  const timeMs = RFC_3339.test(text) && isDay(text.slice(0, 10)) ? Date.parse(text) : Number.NaN;
  if (timeMs <= nowMs) return timeMs;
  const message = Number.isNaN(timeMs)
    ? "time must be RFC 3339, such as 2026-11-21T12:00:00Z"
    : "time is in the future";
  throw new GranaryError("USAGE", message, { pointer: "?time" });
}

/** Date.parse takes the 30th of February for a day in March. */
function isDay(text: string): boolean {
  const date = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}
