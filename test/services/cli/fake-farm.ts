import http from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { digestOf } from "../../../proto/digest.ts";
import type { PublishJson, ReleaseJson } from "../../../proto/http.ts";
import { distinctBlobs } from "../../../proto/listing.ts";
import { RECIPE_VERSION } from "../../../proto/split-tree.ts";
import { parseTree } from "../../../proto/tree.ts";

/** A request as the fake farm saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface FakeRequest extends SeenRequest {
  readonly raw: http.IncomingMessage;
  readonly response: http.ServerResponse;
}

/** Answers a request, or answers false to leave it to the next one. */
export type FakeRoute = (request: FakeRequest) => unknown;

export interface FakeFarm {
  readonly url: string;
  readonly env: Readonly<Record<string, string>>;
  readonly seen: SeenRequest[];
  close(): Promise<void>;
}

/**
 * A server that speaks as much of docs/http-api.md as a test hands in, behind the routes that nearly every verb needs.
 * @param routes by `METHOD /path`
 * @param options.unread routes that answer before the body is read
 */
export async function startFakeFarm(
  routes: Readonly<Record<string, FakeRoute>>,
  options: { readonly unread?: readonly string[]; readonly port?: number } = {},
): Promise<FakeFarm> {
  const seen: SeenRequest[] = [];
  const all: Readonly<Record<string, FakeRoute>> = {
    "GET /v1/limits": ({ response }) => sendJson(response, 200, { archive: {} }),
    "GET /v1/whoami": ({ response }) =>
      sendJson(response, 200, {
        token_id: "t1",
        org: "acme",
        scopes: ["preview", "publish", "write"],
        expires_at: null,
      }),
    ...routes,
  };
  const handle = async (raw: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const url = new URL(raw.url ?? "/", "http://farm");
    const name = `${raw.method} ${url.pathname}`;
    const body = options.unread?.includes(name) ? Buffer.alloc(0) : await readAll(raw);
    const request = {
      method: raw.method ?? "",
      path: url.pathname,
      query: url.searchParams,
      headers: raw.headers,
      body,
    };
    seen.push(request);
    const route = all[name];
    if (route === undefined) sendProblem(response, "NOT_FOUND", 404, `no ${name}`);
    else await route({ ...request, raw, response });
  };
  const server = http.createServer((raw, response) => {
    handle(raw, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    env: { GRANARY_URL: url, GRANARY_TOKEN: "gr_test" },
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export function sendJson(
  response: http.ServerResponse,
  status: number,
  body: unknown,
  headers: http.OutgoingHttpHeaders = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}

export function sendProblem(
  response: http.ServerResponse,
  code: string,
  status: number,
  detail: string,
  headers: http.OutgoingHttpHeaders = {},
): void {
  const problem = {
    type: `urn:granary:error:${code}`,
    title: code,
    status,
    detail,
    code,
    hint: `hint of ${code}`,
    retryable: status >= 500,
    request_id: "req_1",
    params: {},
  };
  response.writeHead(status, { "content-type": "application/problem+json", ...headers });
  response.end(JSON.stringify(problem));
}

/** Answers to a directory publish up to its commit; everything is missing. @param project path of the project */
export function uploadRoutes(
  project: string,
  plan: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, FakeRoute>> {
  const upload = `${project}/uploads/upl_1`;
  let offset = 0;
  return {
    [`POST ${project}/publishes:plan`]: ({ response, body }) => {
      const listing = gunzipSync(body);
      const blobs = distinctBlobs(parseTree(listing));
      sendJson(response, 200, {
        tree: digestOf(listing),
        missing: [[0, blobs.length]],
        missing_blobs: blobs.length,
        missing_bytes: blobs.reduce((sum, { size }) => sum + size, 0),
        session: "upl_1",
        expires_at: "2026-01-03T03:04:05.678Z",
        ...plan,
      });
    },
    [`PUT ${upload}`]: ({ response, body }) => {
      offset += body.byteLength;
      sendJson(response, 200, { session: "upl_1", offset });
    },
    [`GET ${upload}`]: ({ response }) => sendJson(response, 200, { session: "upl_1", offset }),
    [`POST ${upload}:commit`]: ({ response }) => sendJson(response, 202, fakePublish()),
  };
}

export const FAKE_DIGEST = `sha256:${"a".repeat(64)}`;

export function fakeRelease(members: Readonly<Record<string, unknown>> = {}): ReleaseJson {
  const release = {
    org: "acme",
    project: "bot",
    version: "v42",
    publish_id: "pub_1",
    state: "active",
    channel: "production",
    activated: true,
    commit: "0123456789abcdef",
    tree: FAKE_DIGEST,
    image_digest: FAKE_DIGEST,
    image_ref: `registry.test/acme/bot@${FAKE_DIGEST}`,
    layers: [],
    recipe_version: RECIPE_VERSION,
    platform: "linux/amd64",
    user: "65532:65532",
    build_kind: "file_copy",
    build_reason: "no karta.toml",
    execution: "file_copy",
    size_bytes: 12,
    file_count: 42,
    url: "http://farm/r",
    created_at: "2026-01-02T03:04:05.678Z",
    created_by: "token:t1",
    generation: 8,
    warnings: [],
    stats: {
      uploaded_bytes: 1_200_000,
      new_blob_bytes: 12_000,
      new_blobs: 3,
      reused_blob_bytes: 5,
      reused_blobs: 39,
      new_layers: 1,
      reused_layers: 0,
      timings_ms: {},
    },
    ...members,
  };
  return release as unknown as ReleaseJson;
}

export function fakePublish(members: Readonly<Record<string, unknown>> = {}): PublishJson {
  const publish = {
    publish_id: "pub_1",
    org: "acme",
    project: "bot",
    state: "queued",
    channel: "production",
    order: 1,
    upload: { digest: FAKE_DIGEST, size: 5 },
    commit: null,
    activate: true,
    attempt: 0,
    created_at: "2026-01-02T03:04:05.678Z",
    created_by: "token:t1",
    url: "http://farm/p",
    ...members,
  };
  return publish as unknown as PublishJson;
}

async function readAll(raw: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of raw) chunks.push(chunk);
  return Buffer.concat(chunks);
}
