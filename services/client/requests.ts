import { setTimeout as sleep } from "node:timers/promises";
import { GranaryError } from "../../proto/errors.ts";
import { toFailure } from "../shared/read-problem.ts";

/** Requests to one farm; failures have the catalogue's codes. */
export interface Requests {
  readonly url: string;
  /** @throws GranaryError the farm's code; UNAVAILABLE when it cannot be reached, falls silent or is cut off in its answer */
  json<T>(method: "GET" | "POST" | "DELETE", path: string, body?: unknown, signal?: AbortSignal): Promise<T>;
  /** The answer's head, when it is a success. */
  open(path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response>;
}

const TIMEOUT_MS = 30_000;

/** @throws GranaryError USAGE for what no request can be made of: trying again would go on for ever */
export function createRequests(options: { url: string; token: string }): Requests {
  const url = options.url.replace(/\/+$/, "");
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new GranaryError(
      "USAGE",
      `${JSON.stringify(options.url)} is no farm's URL, such as http://127.0.0.1:7421`,
    );
  if (!/^[\x20-\x7e]*$/.test(String(options.token).trim()))
    throw new GranaryError("USAGE", "the token has characters that no token has");
  /** Fails with UNAVAILABLE whatever the way to the farm does to a request; what its own caller ends stays what it is. */
  const send = async <T>(
    path: string,
    init: RequestInit,
    of: { caller: AbortSignal | undefined; read: (response: Response) => Promise<T> },
  ): Promise<T> => {
    try {
      const headers = {
        authorization: `Bearer ${options.token}`,
        ...(init.headers as Record<string, string>),
      };
      const response = await fetch(`${url}${path}`, { ...init, headers });
      if (response.ok) return await of.read(response);
      throw await failureOf(response, url);
    } catch (cause) {
      if (cause instanceof GranaryError) throw cause;
      of.caller?.throwIfAborted();
      throw new GranaryError("UNAVAILABLE", `${url} ${whyNot(cause)}`, { url }, { cause });
    }
  };
  return {
    url,
    json: async <T>(method: string, path: string, body?: unknown, signal?: AbortSignal) => {
      const limit = AbortSignal.timeout(TIMEOUT_MS);
      const init = {
        method,
        headers: {
          accept: "application/json, application/problem+json",
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      };
      const read = async (response: Response): Promise<T> => {
        if (isOf(response, "json")) return (await response.json()) as T;
        throw await failureOf(response, url);
      };
      return send(path, init, { caller: signal, read });
    },
    open: (path, headers, signal) =>
      send(
        path,
        { headers, signal },
        {
          caller: signal,
          read: async (response) => {
            if (isOf(response, "text/event-stream")) return response;
            throw await failureOf(response, url);
          },
        },
      ),
  };
}

function isOf(response: Response, type: string): boolean {
  return response.headers.get("content-type")?.includes(type) ?? false;
}

async function failureOf(response: Response, url: string): Promise<GranaryError> {
  const body = parsed(await response.text());
  const retryAfter = response.headers.get("retry-after") ?? undefined;
  return toFailure({ status: response.status, body, retryAfter, url });
}

function whyNot(cause: unknown): string {
  if (cause instanceof Error && cause.name === "TimeoutError")
    return `did not answer in ${TIMEOUT_MS / 1000} s`;
  const reason = cause instanceof Error ? cause.cause : undefined;
  const code = reason instanceof Error && "code" in reason ? `: ${String(reason.code)}` : "";
  return `cannot be reached${code}`;
}

/** Whether it may go well later: the farm restarts, or the way to it is broken. */
export function isPassing(error: unknown): error is GranaryError {
  return error instanceof GranaryError && error.spec.retryable;
}

const WAIT_MIN_MS = 250;
export const WAIT_MAX_MS = 15_000;

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
