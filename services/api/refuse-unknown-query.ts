import { GranaryError } from "../../proto/errors.ts";
import { ROUTES } from "../../proto/routes.ts";
import type { HttpServer } from "../shared/http-server.ts";

/** What every read takes (consistent-reads.ts). */
const OF_READS = ["min_seq", "consistent"];
const NAME_CHARS = 80;

/**
 * Refuses what a route of `/v1` does not have among its parameters: with a mistyped `?activte=false` a release would go live.
 * @throws GranaryError USAGE
 */
export function refuseUnknownQuery(server: HttpServer): void {
  const parametersOf = new Map(
    ROUTES.map(({ route, parameters = {} }) => [
      route,
      [...Object.keys(parameters), ...(route.startsWith("GET ") ? OF_READS : [])].filter(isOfQuery).sort(),
    ]),
  );
  server.addHook("onRequest", (request, _reply, done) => {
    const { url = "" } = request.routeOptions;
    const known = url.startsWith("/v1/") ? parametersOf.get(`${request.method} ${spelled(url)}`) : undefined;
    const stranger =
      known && Object.keys(request.query as Record<string, unknown>).find((name) => !known.includes(name));
    if (known === undefined || stranger === undefined) return done();
    const name = stranger.slice(0, NAME_CHARS);
    const takes = known.length === 0 ? "takes none" : `takes ${known.join(", ")}`;
    const message = `there is no query parameter ${JSON.stringify(name)}: this route ${takes}`;
    done(new GranaryError("USAGE", message, { pointer: `?${name}` }));
  });
}

/** Headers begin with a capital. */
function isOfQuery(parameter: string): boolean {
  return !/^[A-Z]/.test(parameter);
}

/** A path as the table of routes spells it: `:name(PATTERN)` is `{name}`, and `::` a colon. */
function spelled(url: string): string {
  return url.replace(/::|:([a-z]+)(?:\(\^\[\^:\]\+\))?/g, (_all, name?: string) =>
    name === undefined ? ":" : `{${name}}`,
  );
}
