import { setTimeout as sleep } from "node:timers/promises";
import { GranaryError } from "../../proto/errors.ts";
import { toFailure } from "../shared/read-problem.ts";

/** Requests to one farm; failures have the catalogue's codes. */
export interface Requests {
  readonly url: string;
  /** @throws GranaryError the farm's code, UNAVAILABLE when it cannot be reached */
  json<T>(method: "GET" | "POST" | "DELETE", path: string, body?: unknown, signal?: AbortSignal): Promise<T>;
  /** The answer's head, when it is a success. */
  open(path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response>;
}

const TIMEOUT_MS = 30_000;

export function createRequests(options: { url: string; token: string }): Requests {
  const url = options.url.replace(/\/+$/, "");
  const send = async (path: string, init: RequestInit): Promise<Response> => {
    const headers = {
      authorization: `Bearer ${options.token}`,
      ...(init.headers as Record<string, string>),
    };
    let response: Response;
    try {
      response = await fetch(`${url}${path}`, { ...init, headers });
    } catch (cause) {
      init.signal?.throwIfAborted();
      throw new GranaryError("UNAVAILABLE", `${url} cannot be reached`, { url }, { cause });
    }
    if (response.ok) return response;
    const text = await response.text();
    throw toFailure({
      status: response.status,
      body: parsed(text),
      retryAfter: response.headers.get("retry-after") ?? undefined,
      url,
    });
  };
  return {
    url,
    json: async <T>(method: string, path: string, body?: unknown, signal?: AbortSignal) => {
      const limit = AbortSignal.timeout(TIMEOUT_MS);
      const response = await send(path, {
        method,
        headers: {
          accept: "application/json, application/problem+json",
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return (await response.json()) as T;
    },
    open: (path, headers, signal) => send(path, { headers, signal }),
  };
}

/** Whether it may go well later: the farm restarts, or the way to it is broken. */
export function isPassing(error: unknown): error is GranaryError {
  return error instanceof GranaryError && error.spec.retryable;
}

const WAIT_MIN_MS = 250;
const WAIT_MAX_MS = 15_000;

/** Waits before the next try: what the farm asked for, else longer and longer. */
export async function pause(error: GranaryError, failures: number, signal: AbortSignal): Promise<void> {
  const asked = Number(error.detail["retry_after_s"] ?? Number.NaN) * 1000;
  const grown = Math.min(WAIT_MAX_MS, WAIT_MIN_MS * 2 ** Math.min(failures - 1, 10));
  await sleep(Number.isFinite(asked) ? Math.min(asked, WAIT_MAX_MS) : grown, undefined, { signal });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
