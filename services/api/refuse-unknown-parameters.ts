import { GranaryError } from "../../proto/errors.ts";
import { ROUTES } from "../../proto/routes.ts";
import type { HttpServer } from "../shared/http-server.ts";
import type { ApiContext } from "./context.ts";
import { principalOf } from "./request.ts";

/** What every read takes (consistent-reads.ts). */
const OF_READS = ["min_seq", "consistent"];
const NAME_CHARS = 80;

/**
 * Refuses what a route of `/v1` does not have among its parameters: with a mistyped `?activte=false` a release would go live, and whoever sends
 * `If-Match` to a route that does not look at it is told that something holds which nobody has checked.
 * @throws GranaryError USAGE, UNAUTHENTICATED
 */
export function refuseUnknownParameters(server: HttpServer, context: ApiContext): void {
  const routes = new Map(
    ROUTES.map(({ route, access, parameters = {} }) => {
      const all = [...Object.keys(parameters), ...(route.startsWith("GET ") ? OF_READS : [])];
      return [route, { access, known: all.filter(isOfQuery).sort(), hasIfMatch: all.includes("If-Match") }];
    }),
  );
  server.addHook("onRequest", async (request) => {
    const names = Object.keys(request.query as Record<string, unknown>);
    const condition = request.headers["if-match"];
    if (names.length === 0 && condition === undefined) return;
    const { url = "" } = request.routeOptions;
    const route = url.startsWith("/v1/") ? routes.get(`${request.method} ${spelled(url)}`) : undefined;
    if (route === undefined) return;
    const { known, access, hasIfMatch } = route;
    const stranger = names.find((name) => !known.includes(name));
    const isUnchecked =
      condition !== undefined && condition !== "*" && !hasIfMatch && !isRead(request.method);
    if (stranger === undefined && !isUnchecked) return;
    // Who has no token is told that, also when it came as a parameter.
    if (access !== "public") principalOf(context, request);
    if (stranger === undefined)
      throw new GranaryError(
        "USAGE",
        "this route has no If-Match: activations, rollbacks and promotions have it",
      );
    const name = stranger.slice(0, NAME_CHARS);
    const takes = known.length === 0 ? "takes none" : `takes ${known.join(", ")}`;
    const message = `there is no query parameter ${JSON.stringify(name)}: this route ${takes}`;
    throw new GranaryError("USAGE", message, { pointer: `?${name}` });
  });
}

/** What changes nothing: there the condition is about a copy that the client has. */
function isRead(method: string): boolean {
  return method === "GET" || method === "HEAD";
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
