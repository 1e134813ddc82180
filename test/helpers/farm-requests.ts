import assert from "node:assert/strict";
import type { Problem, PublishJson, ReleaseJson, TokenJson } from "../../proto/http.ts";
import type { Scope } from "../../proto/records.ts";
import type { TestFarm } from "./farm.ts";

/** An answer of a farm, read to its end. */
export interface Answer<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
  readonly text: string;
}

export interface SendOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly token?: string | undefined;
  /** Sent as JSON. */
  readonly json?: unknown;
  readonly bytes?: Uint8Array | undefined;
  readonly signal?: AbortSignal;
}

/** Sends one request and reads the answer, whatever its status. The caller says what it expects. */
export async function send<T>(
  farm: Pick<TestFarm, "fetch">,
  path: string,
  options: SendOptions = {},
): Promise<Answer<T>> {
  const { json, bytes, token, headers } = options;
  const body = json === undefined ? bytes : JSON.stringify(json);
  const response = await farm.fetch(path, {
    method: options.method ?? (body === undefined ? "GET" : "POST"),
    headers: { ...(json === undefined ? {} : { "content-type": "application/json" }), ...headers },
    ...(body === undefined ? {} : { body }),
    ...(token === undefined ? {} : { token }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: parsed(text) as T, text };
}

function parsed(text: string): unknown {
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function projectUrl(project: string, org = "default"): string {
  return `/v1/orgs/${org}/projects/${project}`;
}

export interface PublishOptions extends SendOptions {
  readonly org?: string;
  /** Query of the publish: `{commit: "abc"}`. */
  readonly query?: Readonly<Record<string, string>>;
  /** `Prefer: wait=SECONDS`. */
  readonly waitSeconds?: number;
}

/** `POST .../publishes` with an archive. */
export function publish<T = PublishJson>(
  farm: Pick<TestFarm, "fetch">,
  project: string,
  archive: Uint8Array,
  options: PublishOptions = {},
): Promise<Answer<T>> {
  const { org, query = {}, waitSeconds, headers } = options;
  const search = new URLSearchParams(query).toString();
  return send<T>(farm, `${projectUrl(project, org)}/publishes${search === "" ? "" : `?${search}`}`, {
    ...options,
    method: "POST",
    bytes: archive,
    headers: {
      "content-type": "application/gzip",
      ...(waitSeconds === undefined ? {} : { prefer: `wait=${waitSeconds}` }),
      ...headers,
    },
  });
}

/** Publishes and waits. @returns the release that came of it */
export async function publishReady(
  farm: Pick<TestFarm, "fetch">,
  project: string,
  archive: Uint8Array,
  options: PublishOptions = {},
): Promise<ReleaseJson> {
  const answer = await publish(farm, project, archive, { waitSeconds: 30, ...options });
  assert.ok(answer.status === 201 || answer.status === 200, `${answer.status} ${answer.text}`);
  const { release } = answer.body;
  assert.ok(release !== undefined, answer.text);
  return release;
}

/** Waits until a publish has ended, however it ends. */
export async function ended(farm: Pick<TestFarm, "fetch">, id: string): Promise<PublishJson> {
  const answer = await send<PublishJson>(farm, `/v1/publishes/${id}?wait=60`);
  assert.equal(answer.status, 200, answer.text);
  assert.ok(
    ["ready", "failed", "cancelled"].includes(answer.body.state),
    `${id} is ${answer.body.state} after 60 s`,
  );
  return answer.body;
}

/** Checks that an answer is the problem document of one code, and answers it. */
export function problemOf(answer: Answer<unknown>, status: number, code: string): Problem {
  assert.equal(answer.status, status, answer.text);
  assert.match(String(answer.headers.get("content-type")), /^application\/problem\+json/);
  const problem = answer.body as Problem;
  assert.equal(problem.code, code, answer.text);
  assert.equal(problem.status, status);
  assert.ok(problem.detail.length > 0 && problem.hint.length > 0, answer.text);
  assert.equal(problem.request_id, answer.headers.get("x-request-id"));
  return problem;
}

/** Makes a token. @returns it with its secret */
export async function makeToken(
  farm: Pick<TestFarm, "fetch">,
  org: string,
  scopes: readonly Scope[],
  more: { project?: string; expires?: string } = {},
): Promise<{ id: string; token: string }> {
  const answer = await send<TokenJson>(farm, `/v1/orgs/${org}/tokens`, { json: { scopes, ...more } });
  assert.equal(answer.status, 201, answer.text);
  assert.ok(answer.body.token !== undefined);
  return { id: answer.body.id, token: answer.body.token };
}

/** What `/v1/store` says. */
export interface StoreStat {
  readonly blobs: number;
  readonly layers: number;
  readonly packed_bytes: number;
  readonly big_files: number;
  readonly segments: number;
  readonly inbox_bytes: number;
  readonly disk_bytes: number;
}

export function storeStat(farm: TestFarm): Promise<StoreStat> {
  return farm.json<StoreStat>("/v1/store");
}

/** What a feed says until it is cut off, which loses what nobody has read by then; one that ends like a whole one is not cut off. */
export async function untilCut(feed: Response): Promise<string> {
  let seen = "";
  await assert.rejects(async () => {
    for await (const part of feed.body ?? []) seen += Buffer.from(part).toString();
  });
  return seen;
}
