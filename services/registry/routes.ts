import { type Digest, isDigest } from "../../proto/digest.ts";
import { type ErrorCode, GranaryError } from "../../proto/errors.ts";
import { MEDIA_TYPES } from "../../proto/image.ts";
import { isName, type Name, parseVersion } from "../../proto/names.ts";
import type { Store } from "../../store/store.ts";
import { authenticate, authorize, type Principal } from "../shared/authenticate.ts";
import { type HttpReply, type HttpRequest, type HttpServer, leaveUnreadBody } from "../shared/http-server.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import {
  findCurrentRelease,
  findPreview,
  findProject,
  findRelease,
  findRepositoryDigest,
  findTokenByHash,
  listProjects,
} from "../shared/state-queries.ts";
import { BoundedPulls } from "./bounded-pulls.ts";
import { PREVIEW_TAG, tagsBehind } from "./tags-behind.ts";

export interface RegistryContext {
  readonly store: Store;
  read<T>(body: (view: StateView) => T): T;
  now(): number;
}

const TAGS_PAGE_MAX = 1_000;
const pulls = new BoundedPulls();

/**
 * OCI distribution-spec 1.1, pull side, for releases and living previews: manifests and blobs by digest, tags `vN`, `current` and
 * `preview-NAME`. A digest is served only in a repository that references it (ruling 8); errors have OCI's form and codes.
 */
export function registryRoutes(server: HttpServer, context: RegistryContext): void {
  server.route({
    method: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
    url: "/v2/*",
    handler: async (request, reply) => {
      reply.header("docker-distribution-api-version", "registry/2.0");
      try {
        return await serve(context, request, reply);
      } catch (error) {
        if (error instanceof GranaryError) return sendOciError(reply, error);
        throw error;
      }
    },
  });
  server.get("/v2", async (_request, reply) => reply.redirect("/v2/", 301));
}

async function serve(context: RegistryContext, request: HttpRequest, reply: HttpReply): Promise<HttpReply> {
  const rest = (request.params as { "*": string })["*"];
  if (isRead(request) && isPublic(context, rest))
    return sendTarget(context, request, reply, parseTarget(rest));
  const principal = authenticate(request.headers.authorization, {
    tokenByHash: (hash) => context.read((view) => findTokenByHash(view, hash)),
    now: context.now,
  });
  if (rest === "") return reply.type("application/json").send("{}");
  if (rest === "_catalog" && isRead(request)) return sendCatalog(context, request, reply, principal);
  const target = parseTarget(rest);
  try {
    authorize(principal, "read", target);
  } catch (error) {
    if (error instanceof GranaryError && error.code === "NOT_FOUND")
      throw nameUnknown(`${target.org}/${target.project}`);
    throw error;
  }
  if (context.read((view) => findProject(view, target)) === undefined)
    throw nameUnknown(`${target.org}/${target.project}`);
  if (!isRead(request)) throw new GranaryError("UNSUPPORTED", "releases are pushed with `granary publish`");
  return sendTarget(context, request, reply, target);
}

/** Whether the repository is of a project that lets anybody pull: no token is looked at. */
function isPublic(context: RegistryContext, rest: string): boolean {
  const [org, project] = rest.split("/");
  if (!isName(org) || !isName(project)) return false;
  return context.read((view) => findProject(view, { org, project }))?.settings.public_pull === true;
}

async function sendTarget(
  context: RegistryContext,
  request: HttpRequest,
  reply: HttpReply,
  target: Target,
): Promise<HttpReply> {
  if (target.kind === "tags") return sendTags(context, request, reply, target);
  if (target.kind === "referrers") return sendReferrers(reply, target);
  return target.kind === "manifests"
    ? sendManifest(context, request, reply, target)
    : sendBlob(context, request, reply, target);
}

function isRead({ method }: HttpRequest): boolean {
  return method === "GET" || method === "HEAD";
}

interface Target {
  readonly org: Name;
  readonly project: Name;
  readonly kind: "manifests" | "blobs" | "tags" | "referrers";
  readonly reference: string;
}

/** Repositories of any depth may be asked for; there are those of two names. @throws GranaryError NAME_UNKNOWN, UNSUPPORTED */
function parseTarget(rest: string): Target {
  const [, repository, kind, reference] =
    /^(.{1,512})\/(manifests|blobs|tags|referrers)\/([^/]+)$/s.exec(rest) ?? [];
  const [org, project, ...more] = (repository ?? rest).split("/");
  if (!isName(org) || !isName(project) || (repository !== undefined && more.length > 0))
    throw nameUnknown(repository ?? `${org}/${project ?? ""}`);
  if (kind === undefined || reference === undefined)
    throw new GranaryError("UNSUPPORTED", "no such registry operation here");
  return { org, project, kind: kind as Target["kind"], reference };
}

function nameUnknown(repository: string): GranaryError {
  return new GranaryError("NAME_UNKNOWN", `repository ${repository.slice(0, 160)} is not known`);
}

/** What clients of Docker's registry list: the projects of the token's org, or the one that it is bound to. */
function sendCatalog(
  context: RegistryContext,
  request: HttpRequest,
  reply: HttpReply,
  principal: Principal,
): HttpReply {
  const { org, project: bound } = principal;
  authorize(principal, "read", { org });
  const { count, last } = pageAsked(request);
  const behind = last?.startsWith(`${org}/`) === true ? last.slice(org.length + 1) : undefined;
  const page = context.read((view) =>
    bound === undefined
      ? listProjects(view, org, { limit: count, ...(isName(behind) ? { after: behind } : {}) })
      : { items: [findProject(view, { org, project: bound }) ?? []].flat(), next_cursor: null },
  );
  const repositories = page.items.slice(0, count).map(({ project }) => `${org}/${project}`);
  if (page.next_cursor !== null && repositories.length > 0)
    reply.header("link", `</v2/_catalog?n=${count}&last=${repositories.at(-1)}>; rel="next"`);
  return reply.type("application/json").send(JSON.stringify({ repositories }));
}

/** distribution-spec, "Listing Referrers": nothing refers to an image here, as nothing else is pushed. */
function sendReferrers(reply: HttpReply, target: Target): HttpReply {
  if (!isDigest(target.reference))
    throw new GranaryError("DIGEST_INVALID", `not a sha256 digest: ${target.reference.slice(0, 100)}`);
  const index = { schemaVersion: 2, mediaType: MEDIA_TYPES.index, manifests: [] };
  return reply.type(MEDIA_TYPES.index).send(Buffer.from(JSON.stringify(index)));
}

/** `?n=&last=`; what is no number asks for as many as there may be. */
function pageAsked(request: HttpRequest): { count: number; last: string | undefined } {
  const { n, last } = request.query as { n?: string; last?: string | string[] };
  const count =
    n !== undefined && /^[0-9]{1,6}$/.test(n) ? Math.min(Number(n), TAGS_PAGE_MAX) : TAGS_PAGE_MAX;
  return { count, last: typeof last === "string" ? last : undefined };
}

async function sendTags(
  context: RegistryContext,
  request: HttpRequest,
  reply: HttpReply,
  target: Target,
): Promise<HttpReply> {
  if (target.reference !== "list") throw new GranaryError("UNSUPPORTED", "no such registry operation here");
  const { count, last } = pageAsked(request);
  const found = await tagsBehind(context, target, { last, count: count + 1 });
  const tags = found.slice(0, count);
  if (found.length > count && tags.length > 0) {
    reply.header(
      "link",
      `</v2/${target.org}/${target.project}/tags/list?n=${count}&last=${tags.at(-1)}>; rel="next"`,
    );
  }
  return reply
    .type("application/json")
    .send(JSON.stringify({ name: `${target.org}/${target.project}`, tags }));
}

async function sendManifest(
  context: RegistryContext,
  request: HttpRequest,
  reply: HttpReply,
  target: Target,
): Promise<HttpReply> {
  const digest = manifestDigest(context, target);
  const member =
    digest === undefined ? undefined : context.read((view) => findRepositoryDigest(view, target, digest));
  if (digest === undefined || member === undefined || member.media_type !== MEDIA_TYPES.manifest) {
    throw new GranaryError(
      "MANIFEST_UNKNOWN",
      `${target.org}/${target.project} has no manifest ${target.reference.slice(0, 100)}`,
    );
  }
  describe(reply, digest, member.media_type);
  if (matches(request, digest)) return reply.code(304).send();
  const bytes = await context.store.read(digest).catch(asCorrupt);
  reply.header("content-length", bytes.byteLength);
  return request.method === "HEAD" ? reply.send() : reply.send(bytes);
}

/**
 * A digest as it is, a tag as what it names now: `vN`, `current` (also as `latest`, which clients assume without a tag),
 * `preview-NAME`.
 */
function manifestDigest(context: RegistryContext, target: Target): Digest | undefined {
  if (isDigest(target.reference)) return target.reference;
  const preview = previewTagged(target.reference);
  if (preview !== undefined) return context.read((view) => findPreview(view, target, preview))?.image_digest;
  const version = parseVersion(target.reference);
  const isCurrent = target.reference === "current" || target.reference === "latest";
  if (version === undefined && !isCurrent) return undefined;
  const release = context.read((view) =>
    version === undefined ? findCurrentRelease(view, target) : findRelease(view, target, version),
  );
  return release === undefined || release.state === "retired" ? undefined : release.image_digest;
}

function previewTagged(tag: string): Name | undefined {
  const name = tag.startsWith(PREVIEW_TAG) ? tag.slice(PREVIEW_TAG.length) : undefined;
  return isName(name) ? name : undefined;
}

async function sendBlob(
  context: RegistryContext,
  request: HttpRequest,
  reply: HttpReply,
  target: Target,
): Promise<HttpReply> {
  if (!isDigest(target.reference))
    throw new GranaryError("DIGEST_INVALID", `not a sha256 digest: ${target.reference.slice(0, 100)}`);
  const blob = target.reference;
  const member = context.read((view) => findRepositoryDigest(view, target, blob));
  if (member === undefined)
    throw new GranaryError("BLOB_UNKNOWN", `${target.org}/${target.project} has no blob ${target.reference}`);
  describe(reply, target.reference, "application/octet-stream");
  reply.header("accept-ranges", "bytes");
  if (matches(request, target.reference)) return reply.code(304).send();
  if (request.method === "HEAD") return reply.header("content-length", member.size).send();
  const range = parseRange(rangeHeader(request, target.reference), member.size, reply);
  pulls.begin(target.org, reply.raw);
  const { stream } = await context.store.openContent(target.reference, range).catch(asCorrupt);
  if (range !== undefined)
    reply.code(206).header("content-range", `bytes ${range.start}-${range.end - 1}/${member.size}`);
  reply.header("content-length", range === undefined ? member.size : range.end - range.start);
  return reply.send(stream);
}

/** What the repository references has to be there: to clients, 404 would mean that it never was. */
function asCorrupt(error: unknown): never {
  if (!(error instanceof GranaryError) || error.code !== "BLOB_UNKNOWN") throw error;
  throw new GranaryError("STORE_CORRUPT", `${error.message}, though a release has it`, error.detail, {
    cause: error,
  });
}

function describe(reply: HttpReply, digest: Digest, mediaType: string): void {
  reply
    .type(mediaType)
    .header("docker-content-digest", digest)
    .header("etag", `"${digest}"`)
    .header("cache-control", "private, max-age=31536000, immutable");
}

/** RFC 9110, 13.1.2: one of several entity tags, compared weakly, or any. */
function matches(request: HttpRequest, digest: Digest): boolean {
  const known = request.headers["if-none-match"];
  return known?.split(",").some((tag) => ["*", `"${digest}"`, `W/"${digest}"`].includes(tag.trim())) ?? false;
}

/** RFC 9110, 13.1.5: the range of some other content is no range of this one. */
function rangeHeader(request: HttpRequest, digest: Digest): string | undefined {
  const condition = request.headers["if-range"];
  return condition === undefined || condition === `"${digest}"` ? request.headers.range : undefined;
}

/** RFC 9110 byte ranges: one range; several, or other units, are answered with the whole. @throws GranaryError RANGE_INVALID */
function parseRange(
  header: string | undefined,
  size: number,
  reply: HttpReply,
): { start: number; end: number } | undefined {
  const match = /^bytes=([0-9]{0,15})-([0-9]{0,15})$/.exec(header ?? "");
  if (!match || (match[1] === "" && match[2] === "")) return undefined;
  const suffix = match[1] === "";
  const start = suffix ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const end = suffix || match[2] === "" ? size : Math.min(size, Number(match[2]) + 1);
  if (start < end) return { start, end };
  reply.header("content-range", `bytes */${size}`);
  throw new GranaryError("RANGE_INVALID", `range ${header} of ${size} bytes`, {
    actual: header ?? "",
    limit: size,
  });
}

const OCI_CODES: Partial<Record<ErrorCode, string>> = {
  UNAUTHENTICATED: "UNAUTHORIZED",
  FORBIDDEN: "DENIED",
  RATE_LIMITED: "TOOMANYREQUESTS",
};

/** distribution-spec, "Error Codes". */
function sendOciError(reply: HttpReply, error: GranaryError): HttpReply {
  if (error.code === "UNAUTHENTICATED")
    reply.header("www-authenticate", 'Basic realm="granary", charset="UTF-8"');
  leaveUnreadBody(reply.request, reply);
  // RFC 9110, 15.5.6.
  if (error.spec.http === 405) reply.header("allow", "GET, HEAD");
  if (error.spec.retryable) reply.header("retry-after", String(error.detail["retry_after_s"] ?? 1));
  const code = OCI_CODES[error.code] ?? error.code;
  const body = {
    errors: [{ code, message: error.message, detail: { ...error.detail, hint: error.spec.hint } }],
  };
  return reply
    .code(error.spec.http)
    .type("application/json")
    .removeHeader("etag")
    .removeHeader("docker-content-digest")
    .removeHeader("cache-control")
    .send(JSON.stringify(body));
}
