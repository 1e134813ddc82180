import { GranaryError } from "../../proto/errors.ts";
import { formatCursor } from "../../proto/events.ts";
import { LIMITS } from "../../proto/limits.ts";
import { type Name, parseName } from "../../proto/names.ts";
import { type ProjectRecord, TERMINAL_STATES } from "../../proto/records.ts";
import { LANES } from "../../proto/subjects.ts";
import { authorize, notFound, type Principal } from "../shared/authenticate.ts";
import { findHold } from "../shared/find-hold.ts";
import type { HttpReply, HttpRequest, HttpServer } from "../shared/http-server.ts";
import { listQueue } from "../shared/list-queue.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { KEYS, RANGES } from "../shared/state-keys.ts";
import {
  findCurrentRelease,
  findOrg,
  findProject,
  findPublish,
  listNewestEvents,
  listOrgs,
  listPreviews,
  listProjects,
  listPublishes,
  listReleases,
  newestCursor,
} from "../shared/state-queries.ts";
import { type Home, homePage } from "./console/home-page.ts";
import { html } from "./console/html.ts";
import { type PageParts, sendPage } from "./console/page.ts";
import { projectPage } from "./console/project-page.ts";
import { readSignInForm } from "./console/read-sign-in-form.ts";
import { createSessionCookies, EXPIRED_COOKIE } from "./console/session-cookie.ts";
import { signInPage } from "./console/sign-in-page.ts";
import type { ApiContext } from "./context.ts";
import { feedOf, streamEvents } from "./event-routes.ts";
import { storeJson } from "./farm-routes.ts";
import { pageOf } from "./read-routes.ts";
import { principalOf, query, scoped } from "./request.ts";

const EVENTS_SHOWN = 20;
const PUBLISHES_SHOWN = 10;

/**
 * The console: pages for people, read-only. A browser signs in with a token and keeps it in a cookie that these routes alone
 * understand, so that whatever another site makes a browser send changes nothing.
 */
export function consoleRoutes(server: HttpServer, context: ApiContext): void {
  const cookies = createSessionCookies();
  /** From here on the request is one of the token in the cookie. @returns whether there is one */
  const admit = (request: HttpRequest): boolean => {
    const token = cookies.open(request.headers.cookie, context.now());
    if (request.headers.authorization !== undefined || token === undefined) return false;
    request.headers.authorization = `Bearer ${token}`;
    return true;
  };
  const page = async (
    request: HttpRequest,
    reply: HttpReply,
    make: (principal: Principal) => Omit<PageParts, "who">,
  ): Promise<HttpReply> => {
    const signOut = admit(request);
    try {
      const principal = principalOf(context, request);
      const who = { org: principal.org, token: principal.tokenId, signOut };
      try {
        return sendPage(reply, 200, { ...make(principal), who });
      } catch (error) {
        if (!(error instanceof GranaryError) || !wantsPage(request)) throw error;
        return sendPage(reply, error.spec.http, { ...failurePage(error), who });
      }
    } catch (error) {
      if (!(error instanceof GranaryError) || error.code !== "UNAUTHENTICATED" || !wantsPage(request))
        throw error;
      // The front door is no failure; where a page was asked for, its absence is.
      const status = !signOut && request.routeOptions.url === "/" ? 200 : 401;
      return sendPage(
        reply,
        status,
        signInPage(signOut ? "The token has expired or was revoked." : undefined),
      );
    }
  };

  server.get("/", { exposeHeadRoute: true }, async (request, reply) => {
    if (wantsPage(request)) return page(request, reply, (principal) => home(context, request, principal));
    return reply.header("vary", "accept").send({
      name: "Granary",
      version: context.version,
      openapi: "/openapi.json",
      registry: "/v2/",
      hint: "open this address in a browser, or use the granary command",
    });
  });

  server.get("/console/:org/:project", async (request, reply) =>
    page(request, reply, () => project(context, request)),
  );

  server.get("/console/events", async (request, reply) => {
    admit(request);
    await streamEvents(context, request, reply, feedOf(context, request));
    return reply;
  });

  server.post("/console/sign-in", async (request, reply) => {
    refuseForeignForm(request);
    const token = await readSignInForm(request);
    request.headers.authorization = `Bearer ${token}`;
    try {
      principalOf(context, request);
    } catch (error) {
      if (!(error instanceof GranaryError)) throw error;
      return sendPage(reply, 401, signInPage("This token is not valid, has expired or was revoked."));
    }
    const secure = request.protocol === "https" || request.headers["x-forwarded-proto"] === "https";
    const cookie = cookies.seal(token, { nowMs: context.now(), secure });
    return reply.header("set-cookie", cookie).header("cache-control", "no-store").redirect("/", 303);
  });

  server.post("/console/sign-out", async (request, reply) => {
    refuseForeignForm(request);
    return reply.header("set-cookie", EXPIRED_COOKIE).header("cache-control", "no-store").redirect("/", 303);
  });
}

function wantsPage(request: HttpRequest): boolean {
  return String(request.headers.accept ?? "").includes("text/html");
}

/** Another site must not sign a browser in, or out. @throws GranaryError FORBIDDEN */
function refuseForeignForm(request: HttpRequest): void {
  const { origin, host } = request.headers;
  const site = request.headers["sec-fetch-site"];
  const foreign = site !== undefined && site !== "same-origin" && site !== "none";
  if (foreign || (origin !== undefined && origin.replace(/^https?:\/\//, "") !== host))
    throw new GranaryError("FORBIDDEN", "this form is sent by the farm's own pages only");
}

function failurePage(error: GranaryError): PageParts {
  return {
    title: `${error.spec.title} - Granary`,
    body: html`<h1>${error.spec.title}</h1><p>${error.message}</p><p class="dim">${error.spec.hint}</p><p><a href="/">Projects</a></p>`,
  };
}

function home(context: ApiContext, request: HttpRequest, principal: Principal): PageParts {
  const org = parseName(query(request, "org") ?? principal.org, "org");
  const nowMs = context.now();
  const reads = principal.scopes.has("read");
  if (reads || org !== principal.org) authorize(principal, "read", { org });
  const { project } = principal;
  const of = project === undefined ? { org } : { org, project };
  const page = pageOf(request);
  const from = firstName(query(request, "from"));
  const shown = context.read((view): Home & { feed: string } => {
    if (findOrg(view, org) === undefined) throw notFound({ org });
    return {
      org,
      nowMs,
      orgs: principal.scopes.has("farm:admin") ? otherOrgs(view, org) : [],
      ...(reads ? { projects: homeProjects(view, { of, page, nowMs, from }) } : {}),
      ...(principal.scopes.has("farm:read") ? { farm: farm(context, view) } : {}),
      feed: feedUrl(view, of),
    };
  });
  return { title: `${org} - Granary`, ...(reads ? { feed: shown.feed } : {}), body: homePage(shown) };
}

function otherOrgs(view: StateView, org: Name): readonly Name[] {
  return listOrgs(view, { limit: LIMITS.pageItems }).items.flatMap((one) => (one.org === org ? [] : one.org));
}

/** Where a list of projects begins; names are sorted. @throws GranaryError NAME_INVALID */
function firstName(text: string | undefined): Name | undefined {
  const name = text?.trim().toLowerCase();
  return name === undefined || name === "" ? undefined : parseName(name.replace(/-$/, ""), "project");
}

interface Of {
  readonly org: Name;
  readonly project?: Name;
}

function homeProjects(
  view: StateView,
  about: { of: Of; page: { limit: number; cursor?: string }; nowMs: number; from: Name | undefined },
): NonNullable<Home["projects"]> {
  const { of, page, nowMs, from } = about;
  const { items, next_cursor } = projectsOf(view, of, { page, from });
  const rows = items.map((project) => ({
    project,
    release: findCurrentRelease(view, project),
    held: findHold(view, project, nowMs) ?? null,
  }));
  const next =
    next_cursor === null ? undefined : new URLSearchParams({ org: of.org, cursor: next_cursor }).toString();
  const events = listNewestEvents(view, of, EVENTS_SHOWN);
  return {
    rows,
    next,
    from,
    isFirst: (page.cursor ?? from) === undefined,
    working: working(view, of),
    events,
  };
}

function projectsOf(
  view: StateView,
  { org, project }: Of,
  { page, from }: { page: { limit: number; cursor?: string }; from: Name | undefined },
): { items: readonly ProjectRecord[]; next_cursor: string | null } {
  const one = project ?? (page.cursor === undefined ? from : undefined);
  const found = one === undefined ? undefined : findProject(view, { org, project: one });
  const first = found === undefined ? [] : [found];
  if (project !== undefined) return { items: first, next_cursor: null };
  const rest = listProjects(view, org, { ...(one === undefined ? {} : { after: one }), ...page });
  return { items: [...first, ...rest.items], next_cursor: rest.next_cursor };
}

/** Publishes that have not ended, the oldest first, and how many there are. */
function working(view: StateView, { org, project }: Of): NonNullable<Home["projects"]>["working"] {
  if (project !== undefined) {
    const newest = listPublishes(view, { org, project }, { limit: LIMITS.pageItems }).items;
    const running = newest.filter(({ state }) => !TERMINAL_STATES.has(state)).toReversed();
    return { items: running.slice(0, EVENTS_SHOWN), count: running.length };
  }
  const items = LANES.flatMap((lane) => [...view.range(RANGES.orgWork(lane, org), { limit: EVENTS_SHOWN })])
    .flatMap(({ value }) => findPublish(view, value.publish_id) ?? [])
    .slice(0, EVENTS_SHOWN);
  return { items, count: Math.max(items.length, view.get(KEYS.backlog(org)) ?? 0) };
}

function farm(context: ApiContext, view: StateView): NonNullable<Home["farm"]> {
  return {
    problems: context.problems(),
    nodes: context.nodes(),
    lanes: listQueue(view, context.now()),
    store: storeJson(context),
  };
}

function project(context: ApiContext, request: HttpRequest): Omit<PageParts, "who"> {
  const where = scoped(context, request, "read");
  const nowMs = context.now();
  const page = pageOf(request);
  return context.read((view) => {
    const record = findProject(view, where);
    if (record === undefined) throw notFound(where);
    const { items: releases, next_cursor } = listReleases(view, where, page);
    const body = projectPage({
      nowMs,
      registry: context.publicName(),
      project: record,
      held: findHold(view, record, nowMs) ?? null,
      current: findCurrentRelease(view, where),
      releases,
      next: next_cursor === null ? undefined : new URLSearchParams({ cursor: next_cursor }).toString(),
      previews: listPreviews(view, where).items,
      publishes: listPublishes(view, where, { limit: PUBLISHES_SHOWN }).items,
      events: listNewestEvents(view, where, EVENTS_SHOWN),
    });
    return { title: `${where.org}/${where.project} - Granary`, feed: feedUrl(view, where), body };
  });
}

/** What happens behind the moment that the page shows. */
function feedUrl(view: StateView, { org, project }: Of): string {
  const cursor = formatCursor(newestCursor(view, { org, ...(project && { project }) }));
  return `/console/events?${new URLSearchParams({ org, ...(project && { project }), cursor })}`;
}
