import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { GranaryError } from "../../../proto/errors.ts";
import type { Page } from "../../../proto/http.ts";
import { toFailure } from "../../shared/read-problem.ts";
import { openRequest, parseJson, readBody } from "./open-request.ts";
import { mayHaveHappened, outcomeUnknown } from "./outcome-unknown.ts";
import { isPassing, withRetries } from "./with-retries.ts";

export type Query = Readonly<Record<string, string | number | undefined>>;

export interface ApiAnswer<T> {
  readonly status: number;
  readonly body: T;
}

/** The farm's HTTP API (docs/http-api.md); answers have the shapes of proto/http.ts, everything else is thrown. */
export interface ApiClient {
  readonly url: string;
  /** @throws GranaryError with the farm's code, NO_FARM, UNAVAILABLE */
  get<T>(path: string, query?: Query, options?: { readonly idleMs?: number }): Promise<T>;
  /**
   * Sends a command with one Idempotency-Key and asks again while its outcome is unknown.
   * @throws GranaryError the farm's refusal; OUTCOME_UNKNOWN with `idempotency_key` when it may have taken effect
   */
  command<T>(
    method: "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    body?: unknown,
    options?: { readonly idleMs?: number },
  ): Promise<T>;
  /** Rows of a list across its pages, `limit` at most. */
  list<T>(path: string, query: Query, limit: number, pageItems?: number): Promise<Page<T>>;
  readonly headers: (extra?: Readonly<Record<string, string>>) => Promise<Record<string, string>>;
  readonly target: (path: string, query?: Query) => URL;
  readonly signal: AbortSignal;
  /** The same client for what ends with another signal. */
  within(signal: AbortSignal): ApiClient;
}

const IDLE_MS = 30_000;
/** For what may read the whole store and answers at its end: a terabyte at 100 MB a second takes three hours. */
export const WHOLE_STORE_MS = 6 * 3_600_000;
/** A farm that restarts is back by then. */
const PATIENCE_MS = 20_000;
const PAGE_ITEMS = 200;

export function createApiClient(options: {
  url: string;
  /** A token, or where it comes from: asked before each request. */
  token: string | (() => Promise<string>) | undefined;
  signal: AbortSignal;
  userAgent: string;
  /** Of all its commands; one is made for each otherwise. */
  idempotencyKey?: string | undefined;
}): ApiClient {
  const { url, token, signal, userAgent, idempotencyKey } = options;
  const headers: ApiClient["headers"] = async (extra = {}) => ({
    accept: "application/json, application/problem+json",
    "user-agent": userAgent,
    ...(token === undefined
      ? {}
      : { authorization: `Bearer ${typeof token === "string" ? token : await token()}` }),
    ...extra,
  });
  const target: ApiClient["target"] = (path, query = {}) => {
    const whole = new URL(`${url}${path}`);
    for (const [key, value] of Object.entries(query))
      if (value !== undefined) whole.searchParams.set(key, String(value));
    return whole;
  };

  async function send<T>(
    method: string,
    whole: URL,
    body: string | undefined,
    extra: Record<string, string>,
    idleMs: number,
  ): Promise<T> {
    const { request, response } = openRequest({
      method,
      url: whole,
      farmUrl: url,
      headers: await headers(extra),
      signal,
      idleMs,
    });
    request.end(body);
    return (await readAnswer<T>(await response, url)).body;
  }

  const get: ApiClient["get"] = async <T>(
    path: string,
    query?: Query,
    { idleMs = IDLE_MS }: { readonly idleMs?: number } = {},
  ) => send<T>("GET", target(path, query), undefined, {}, idleMs);

  return {
    url,
    headers,
    target,
    signal,
    within: (other) => createApiClient({ ...options, signal: other }),
    get,
    command: async <T>(
      method: string,
      path: string,
      body?: unknown,
      { idleMs = IDLE_MS }: { readonly idleMs?: number } = {},
    ) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const key = idempotencyKey ?? randomUUID();
      const extra = {
        "idempotency-key": key,
        ...(text === undefined
          ? {}
          : { "content-type": "application/json", "content-length": String(Buffer.byteLength(text)) }),
      };
      let unknown: unknown;
      try {
        return await withRetries({ signal, patienceMs: PATIENCE_MS, retryNoFarm: false }, () =>
          send<T>(method, target(path), text, extra, idleMs).catch((error: unknown) => {
            if (mayHaveHappened(error)) unknown = error;
            throw error;
          }),
        );
      } catch (error) {
        // Without an answer of its own; one that came is the answer, also behind a failure that nobody can tell about.
        const isOpen = unknown !== undefined && (signal.aborted || isPassing(error));
        throw isOpen ? outcomeUnknown(unknown, key) : error;
      }
    },
    list: async <T>(path: string, query: Query, limit: number, pageItems = PAGE_ITEMS) => {
      const items: T[] = [];
      let cursor: string | null | undefined =
        query["cursor"] === undefined ? undefined : String(query["cursor"]);
      do {
        const page: Page<T> = await get<Page<T>>(path, {
          ...query,
          cursor: cursor ?? undefined,
          limit: Math.min(pageItems, limit - items.length),
        });
        items.push(...page.items);
        // An empty page of which the cursor leads on is one where nothing fitted.
        cursor = page.next_cursor === cursor ? null : page.next_cursor;
      } while (cursor !== null && items.length < limit);
      return { items, next_cursor: cursor };
    },
  };
}

/** An answer's JSON when it is a success. @throws GranaryError what a failure means */
export async function readAnswer<T>(response: IncomingMessage, farmUrl: string): Promise<ApiAnswer<T>> {
  const status = response.statusCode ?? 0;
  const text = await readBody(response, farmUrl);
  if (status >= 200 && status < 300) {
    const body = text === "" ? undefined : parseJson(text);
    if (typeof body === "string")
      throw new GranaryError("UNAVAILABLE", `${farmUrl} answers, but not as a farm does`, { url: farmUrl });
    // The shape is the farm's promise (proto/http.ts); it is trusted, not checked, so that new members do no harm.
    return { status, body: body as T };
  }
  throw toFailure({
    status,
    body: parseJson(text),
    retryAfter: response.headers["retry-after"],
    url: farmUrl,
  });
}
