import type { ReleaseJson } from "../../proto/http.ts";
import type { Scope } from "../../proto/records.ts";
import { apiRoutes } from "../../services/api/routes.ts";
import { registryRoutes } from "../../services/registry/routes.ts";
import { createHttpServer } from "../../services/shared/http-server.ts";
import { createLog } from "../../services/shared/log.ts";
import { appArchive } from "./app-archive.ts";
import type { SendOptions } from "./farm-requests.ts";

/** How one route is tried: by everybody, in every way that must not work. */
export interface RouteCase extends SendOptions {
  /** `METHOD url` as fastify knows it. */
  readonly route: string;
  /** A request about org `default` that is harmless when it is repeated. */
  readonly path: string;
  /** Any one of them opens it; absent: any token does. */
  readonly scopes?: readonly Scope[];
  /** One org's things, the whole farm's, or nobody's (`public`: no token is asked for; `own`: about the token itself). */
  readonly about: "org" | "farm" | "own" | "public";
  /** Takes a JSON body, which is tried with nonsense. */
  readonly takesJson?: boolean;
}

const P = "/v1/orgs/:org/projects/:project";
const APP = "/v1/orgs/default/projects/app";
const W = "/v1/orgs/default/webhooks";

/** Every route. A new one without a line here fails `test/e2e/access.test.ts`. */
export function routeCases(release: ReleaseJson): readonly RouteCase[] {
  const archive = appArchive({ a: "2" });
  const org = (
    route: string,
    path: string,
    scopes: readonly Scope[],
    more: Partial<RouteCase> = {},
  ): RouteCase => ({ route, path, scopes, about: "org", ...methodOf(route), ...more });
  const S = "/v1/orgs/:org/subscriptions/:group(^[^:]+)";
  const GROUP = "/v1/orgs/default/subscriptions/none";
  const json = (body: object): Partial<RouteCase> => ({ json: body, takesJson: true });
  const farm = (
    route: string,
    path: string,
    scopes: readonly Scope[],
    more: Partial<RouteCase> = {},
  ): RouteCase => ({
    route,
    path,
    scopes,
    about: "farm",
    ...methodOf(route),
    ...more,
  });
  return [
    org(`GET /v1/orgs/:org/projects`, "/v1/orgs/default/projects", ["read"]),
    org(`GET ${P}`, APP, ["read"]),
    org(`GET ${P}/publishes`, `${APP}/publishes`, ["read"]),
    org(`POST ${P}/publishes`, `${APP}/publishes`, ["publish"], { bytes: archive }),
    org(`POST ${P}/publishes`, `${APP}/publishes?preview=pr-1`, ["preview"], { bytes: archive }),
    org(`POST ${P}/publishes::plan`, `${APP}/publishes:plan`, ["publish", "preview"], { bytes: archive }),
    org(`PUT ${P}/uploads/:session(^[^:]+)`, `${APP}/uploads/upl_0?offset=0`, ["publish", "preview"], {
      bytes: archive,
    }),
    org(`GET ${P}/uploads/:session(^[^:]+)`, `${APP}/uploads/upl_0`, ["publish", "preview"]),
    org(`HEAD ${P}/uploads/:session(^[^:]+)`, `${APP}/uploads/upl_0`, ["publish", "preview"]),
    ...(["publish", "preview"] as const).map((scope) =>
      org(`POST ${P}/uploads/:session(^[^:]+)::commit`, `${APP}/uploads/upl_0:commit`, [scope], {
        ...json(scope === "preview" ? { preview: "pr-1" } : {}),
      }),
    ),
    org("GET /v1/publishes/:id", `/v1/publishes/${release.publish_id}`, ["read", "publish"]),
    org("GET /v1/publishes/:id/events", `/v1/publishes/${release.publish_id}/events`, ["read", "publish"]),
    org("GET /v1/publishes/:id/logs", `/v1/publishes/${release.publish_id}/logs`, ["read", "publish"]),
    org(
      "POST /v1/publishes/:id(^[^:]+)::cancel",
      `/v1/publishes/${release.publish_id}:cancel`,
      ["publish"],
      json({}),
    ),
    org("GET /v1/publishes/:id/why", `/v1/publishes/${release.publish_id}/why`, ["read", "publish"]),
    org(`GET ${P}/releases`, `${APP}/releases`, ["read"]),
    org(`GET ${P}/releases/:ref`, `${APP}/releases/v1`, ["read"]),
    org(`GET ${P}/releases/:ref`, `${APP}/releases/1234567`, ["read"]),
    org(`GET ${P}/releases/:ref/why`, `${APP}/releases/v1/why`, ["read"]),
    org(`GET ${P}/releases/:ref/files`, `${APP}/releases/v1/files`, ["read"]),
    org(
      `POST ${P}/releases/:version(^[^:]+)::retire`,
      `${APP}/releases/v9:retire`,
      ["token:admin"],
      json({}),
    ),
    org(`GET ${P}/diff`, `${APP}/diff?from=v1&to=v2`, ["read"]),
    org(`GET ${P}/current`, `${APP}/current`, ["read"]),
    org(`GET ${P}/at`, `${APP}/at?time=2026-01-01T00:00:00Z`, ["read"]),
    org(`POST ${P}/activations`, `${APP}/activations`, ["activate"], json({ version: "v2" })),
    org(`POST ${P}/rollbacks`, `${APP}/rollbacks`, ["rollback"], json({ to: "v2" })),
    org(`POST ${P}/holds`, `${APP}/holds`, ["hold"], json({ for: "1s" })),
    org(`DELETE ${P}/holds`, `${APP}/holds`, ["hold"]),
    org(`PUT ${P}/settings`, `${APP}/settings`, ["token:admin"], json({})),
    org(`GET ${P}/previews`, `${APP}/previews`, ["read"]),
    org(`GET ${P}/previews/:name(^[^:]+)`, `${APP}/previews/none`, ["read"]),
    org(`DELETE ${P}/previews/:name(^[^:]+)`, `${APP}/previews/none`, ["preview"], json({})),
    org(`POST ${P}/previews/:name(^[^:]+)::pin`, `${APP}/previews/none:pin`, ["preview"], { method: "POST" }),
    org(`POST ${P}/previews/:name(^[^:]+)::extend`, `${APP}/previews/none:extend`, ["preview"], json({})),
    org(`POST ${P}/previews/:name(^[^:]+)::promote`, `${APP}/previews/none:promote`, ["activate"], json({})),
    org(`PUT ${P}/sessions/:id`, `${APP}/sessions/s1`, ["read"], json({})),
    org(`GET ${P}/sessions/:id`, `${APP}/sessions/s1`, ["read"]),
    org(`DELETE ${P}/sessions/:id`, `${APP}/sessions/none`, ["read"]),
    org(`GET ${P}/sessions`, `${APP}/sessions`, ["read"]),
    org("GET /v1/orgs/:org/holds", "/v1/orgs/default/holds", ["read"]),
    org("POST /v1/orgs/:org/holds", "/v1/orgs/default/holds", ["hold"], json({ for: "1s" })),
    org("DELETE /v1/orgs/:org/holds", "/v1/orgs/default/holds", ["hold"]),
    org("GET /v1/orgs/:org/audit", "/v1/orgs/default/audit", ["read"]),
    org("GET /v1/events", "/v1/events?org=default", ["read"]),
    org("GET /v1/events", "/v1/events?org=default&project=app", ["read"]),
    org("GET /v1/orgs/:org/bus", "/v1/orgs/default/bus", ["read"]),
    org("GET /v1/orgs/:org/subscriptions", "/v1/orgs/default/subscriptions", ["read"]),
    org(`GET ${S}`, GROUP, ["read"]),
    org(`DELETE ${S}`, GROUP, ["read"]),
    org(`POST ${S}::claim`, `${GROUP}:claim`, ["read"], json({})),
    org(`POST ${S}::commit`, `${GROUP}:commit`, ["read"], json({})),
    org("GET /v1/orgs/:org/webhooks", W, ["token:admin"]),
    org("POST /v1/orgs/:org/webhooks", W, ["token:admin"], json({ url: "http://192.0.2.1/" })),
    org("GET /v1/orgs/:org/webhooks/:id", `${W}/none`, ["token:admin"]),
    org("PATCH /v1/orgs/:org/webhooks/:id", `${W}/none`, ["token:admin"], json({})),
    org("DELETE /v1/orgs/:org/webhooks/:id", `${W}/none`, ["token:admin"]),
    org("GET /v1/orgs/:org/webhooks/:id/deliveries", `${W}/none/deliveries`, ["token:admin"]),
    org("POST /v1/orgs/:org/webhooks/:id(^[^:]+)::test", `${W}/none:test`, ["token:admin"]),
    org(
      "POST /v1/orgs/:org/webhooks/:id(^[^:]+)::replay",
      `${W}/none:replay`,
      ["token:admin"],
      json({ from: "0-0" }),
    ),
    org("GET /v1/events/snapshot", "/v1/events/snapshot?org=default", ["read"]),
    org("GET /v1/orgs/:org/tokens", "/v1/orgs/default/tokens", ["token:admin"]),
    org(
      "POST /v1/orgs/:org/tokens",
      "/v1/orgs/default/tokens",
      ["token:admin"],
      json({ scopes: ["read"], expires: "1s" }),
    ),
    org("DELETE /v1/orgs/:org/tokens/:id", "/v1/orgs/default/tokens/none", ["token:admin"]),
    org("GET /v1/orgs/:org/trusts", "/v1/orgs/default/trusts", ["token:admin"]),
    org("POST /v1/orgs/:org/trusts", "/v1/orgs/default/trusts", ["token:admin"], json({})),
    org("DELETE /v1/orgs/:org/trusts/:id", "/v1/orgs/default/trusts/none", ["token:admin"]),
    ...["GET", "HEAD"].map((method) => org(`${method} /v2/*`, "/v2/default/app/manifests/v1", ["read"])),
    ...["POST", "PUT", "PATCH", "DELETE"].map((method) =>
      org(`${method} /v2/*`, "/v2/default/app/manifests/v1", ["read"]),
    ),
    org("GET /v2/*", "/v2/default/app/tags/list", ["read"]),
    org("GET /v2/*", `/v2/default/app/blobs/${release.layers[0]?.digest}`, ["read"]),
    org(`POST ${P}/releases/:ref(^[^:]+)::materialize`, `${APP}/releases/v9:materialize`, ["farm:admin"]),
    farm("GET /v1/holds", "/v1/holds", ["farm:read"]),
    farm("POST /v1/holds", "/v1/holds", ["farm:admin"], json({ for: "1s" })),
    farm("DELETE /v1/holds", "/v1/holds", ["farm:admin"]),
    farm("GET /v1/orgs", "/v1/orgs", ["farm:admin"]),
    farm("POST /v1/orgs", "/v1/orgs", ["farm:admin"], json({ org: "default" })),
    farm("PUT /v1/orgs/:org/settings", "/v1/orgs/default/settings", ["farm:admin"], json({})),
    farm("DELETE /v1/orgs/:org", "/v1/orgs/no-such-org", ["farm:admin"]),
    farm("POST /v1/store::gc", "/v1/store:gc?dry_run=true", ["farm:admin"]),
    farm("GET /v1/store/why/:digest", `/v1/store/why/sha256:${"0".repeat(64)}`, ["farm:read"]),
    farm("GET /v1/nodes", "/v1/nodes", ["farm:read"]),
    farm("PUT /v1/nodes/:node", "/v1/nodes/none", ["farm:admin"], json({})),
    farm("GET /v1/queue", "/v1/queue", ["farm:read"]),
    farm("GET /v1/store", "/v1/store", ["farm:read"]),
    farm("GET /metrics", "/metrics", ["farm:read"]),
    farm("GET /v1/pointer", "/v1/pointer", ["farm:read"]),
    // A relative path is refused behind every check of who asks.
    farm("POST /v1/farm::backup", "/v1/farm:backup", ["farm:admin"], json({ dir: "relative" })),
    farm("GET /v1/farm/backup", "/v1/farm/backup", ["farm:read"]),
    farm("POST /v1/store::fsck", "/v1/store:fsck", ["farm:admin"]),
    farm("POST /v1/store::heal", "/v1/store:heal", ["farm:admin"]),
    farm("GET /v1/store/blobs/:digest", `/v1/store/blobs/${release.image_digest}`, ["farm:admin"]),
    farm("PUT /v1/store/blobs/:digest", `/v1/store/blobs/sha256:${"0".repeat(64)}`, ["farm:admin"], {
      bytes: archive,
    }),
    { route: "GET /v1/whoami", path: "/v1/whoami", about: "own" },
    { route: "GET /v1/limits", path: "/v1/limits", about: "own" },
    {
      route: "POST /v1/oidc/token",
      path: "/v1/oidc/token",
      about: "public",
      ...json({ token: "x", org: "default" }),
    },
    { route: "GET /v2", path: "/v2", about: "public" },
    ...["/livez", "/readyz", "/version", "/"].flatMap((path) =>
      ["GET", "HEAD"].map((method) => ({
        route: `${method} ${path}`,
        path,
        method,
        about: "public" as const,
      })),
    ),
    org("GET /console/:org/:project", "/console/default/app", ["read"]),
    org("GET /console/events", "/console/events?org=default&follow=false", ["read"]),
    { route: "POST /console/sign-in", path: "/console/sign-in", about: "public", method: "POST" },
    {
      route: "POST /console/sign-out",
      path: "/console/sign-out",
      about: "public",
      method: "POST",
      headers: {},
    },
    { route: "GET /openapi.json", path: "/openapi.json", about: "public" },
  ];
}

function methodOf(route: string): { method: string } {
  return { method: route.split(" ")[0] ?? "" };
}

/** `METHOD url` of every route that the services register. */
export function registeredRoutes(): ReadonlySet<string> {
  const server = createHttpServer({ log: createLog({ level: "fatal", name: "routes" }) });
  const routes = new Set<string>();
  server.addHook("onRoute", ({ method, url }) => {
    for (const one of [method].flat()) routes.add(`${one} ${url}`);
  });
  // Routes take what they need of the farm when they are asked, not when they are registered.
  const nothing: unknown = new Proxy(() => [], {
    get: (_target, key) => (key === Symbol.iterator ? undefined : nothing),
  });
  apiRoutes(server, nothing as never);
  registryRoutes(server, nothing as never);
  return routes;
}
