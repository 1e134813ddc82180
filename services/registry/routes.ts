import { type Digest, isDigest } from "../../proto/digest.ts";
import { type ErrorCode, GranaryError } from "../../proto/errors.ts";
import { MEDIA_TYPES } from "../../proto/image.ts";
import { isName, type Name, parseVersion } from "../../proto/names.ts";
import type { Store } from "../../store/store.ts";
import { authenticate, authorize } from "../shared/authenticate.ts";
import type { HttpReply, HttpRequest, HttpServer } from "../shared/http-server.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import {
  findCurrentRelease,
  findPreview,
  findProject,
  findRelease,
  findRepositoryDigest,
  findTokenByHash,
} from "../shared/state-queries.ts";
import { PREVIEW_TAG, tagsBehind } from "./tags-behind.ts";

export interface RegistryContext {
  readonly store: Store;
  read<T>(body: (view: StateView) => T): T;
  now(): number;
}

const TAGS_PAGE_MAX = 1_000;

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
  const principal = authenticate(request.headers.authorization, {
    tokenByHash: (hash) => context.read((view) => findTokenByHash(view, hash)),
    now: context.now,
  });
  if (rest === "") return reply.type("application/json").send("{}");
  const target = parseTarget(rest);
  try {
    authorize(principal, "read", target);
  } catch (error) {
    if (error instanceof GranaryError && error.code === "NOT_FOUND") throw nameUnknown(target);
    throw error;
  }
  if (context.read((view) => findProject(view, target)) === undefined) throw nameUnknown(target);
  if (request.method !== "GET" && request.method !== "HEAD")
    throw new GranaryError("UNSUPPORTED", "releases are pushed with `granary publish`");
  if (target.kind === "tags") return sendTags(context, request, reply, target);
  return target.kind === "manifests"
    ? sendManifest(context, request, reply, target)
    : sendBlob(context, request, reply, target);
}

interface Target {
  readonly org: Name;
  readonly project: Name;
  readonly kind: "manifests" | "blobs" | "tags";
  readonly reference: string;
}

/** @throws GranaryError NAME_UNKNOWN, UNSUPPORTED */
function parseTarget(rest: string): Target {
  const [org, project, kind, reference, ...more] = rest.split("/");
  if (!isName(org) || !isName(project)) throw nameUnknown({ org: org ?? "", project: project ?? "" });
  if (
    more.length > 0 ||
    reference === undefined ||
    (kind !== "manifests" && kind !== "blobs" && kind !== "tags")
  ) {
    throw new GranaryError("UNSUPPORTED", "no such registry operation here");
  }
  return { org, project, kind, reference };
}

function nameUnknown(target: { org: string; project: string }): GranaryError {
  return new GranaryError(
    "NAME_UNKNOWN",
    `repository ${`${target.org}/${target.project}`.slice(0, 160)} is not known`,
  );
}

async function sendTags(
  context: RegistryContext,
  request: HttpRequest,
  reply: HttpReply,
  target: Target,
): Promise<HttpReply> {
  if (target.reference !== "list") throw new GranaryError("UNSUPPORTED", "no such registry operation here");
  const { n, last } = request.query as { n?: string; last?: string | string[] };
  const count =
    n !== undefined && /^[0-9]{1,6}$/.test(n) ? Math.min(Number(n), TAGS_PAGE_MAX) : TAGS_PAGE_MAX;
  const found = await tagsBehind(context, target, {
    last: typeof last === "string" ? last : undefined,
    count: count + 1,
  });
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
