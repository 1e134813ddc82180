import { request as httpRequest } from "node:http";
import { request as httpsRequest, type RequestOptions } from "node:https";
import { GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import {
  parseWebhookUrl,
  publicAddresses,
  type Resolve,
  type TargetAddress,
} from "../shared/webhook-target.ts";

/** What one attempt came to: a status, or why there was none. */
export interface Attempt {
  readonly status: number | null;
  readonly error: string | null;
  readonly retryAfterMs: number | undefined;
}

export interface SendOptions {
  readonly allowPrivate: boolean;
  readonly resolve: Resolve;
  readonly now: () => number;
  readonly signal: AbortSignal;
  /** Default {@link LIMITS.webhookAttemptMs}. */
  readonly timeoutMs?: number;
}

/**
 * Sends one message and reads the status. The host is resolved once, its addresses are checked, and the connection goes to one of
 * exactly these: a name that answers differently the second time gains nothing. Redirects are not followed.
 */
export async function sendWebhook(
  message: { url: string; headers: Readonly<Record<string, string>>; body: string },
  options: SendOptions,
): Promise<Attempt> {
  const timeout = AbortSignal.timeout(options.timeoutMs ?? LIMITS.webhookAttemptMs);
  const signal = AbortSignal.any([timeout, options.signal]);
  try {
    const url = parseWebhookUrl(message.url, options);
    const addresses = await before(signal, publicAddresses(url, options));
    return await post(url, { ...message, addresses, signal, nowMs: options.now() });
  } catch (error) {
    return { status: null, error: timeout.aborted ? "timed out" : reasonOf(error), retryAfterMs: undefined };
  }
}

function post(
  url: URL,
  message: {
    headers: Readonly<Record<string, string>>;
    body: string;
    addresses: readonly TargetAddress[];
    signal: AbortSignal;
    nowMs: number;
  },
): Promise<Attempt> {
  const { headers, body, addresses, signal, nowMs } = message;
  return new Promise((resolve, reject) => {
    const options: RequestOptions = {
      method: "POST",
      headers: { ...headers, "content-length": Buffer.byteLength(body), connection: "close" },
      agent: false,
      signal,
      lookup: (_host, asked, done) => {
        const [first] = addresses;
        if (asked.all === true) done(null, [...addresses]);
        else done(null, first?.address ?? "", first?.family ?? 4);
      },
    };
    const request = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, options, (response) => {
      let read = 0;
      const end = (): void => {
        request.destroy();
        resolve({
          status: response.statusCode ?? null,
          error: null,
          retryAfterMs: retryAfterMs(response.headers["retry-after"], nowMs),
        });
      };
      response.on("data", (chunk: Buffer) => {
        read += chunk.length;
        if (read > LIMITS.webhookAnswerBytes) end();
      });
      response.on("end", end);
      response.on("error", reject);
    });
    // Nobody asked for another protocol: the answer is its status, like any other that is not 2xx.
    request.on("upgrade", ({ statusCode = null }, socket) => {
      socket.destroy();
      resolve({ status: statusCode, error: null, retryAfterMs: undefined });
    });
    request.on("error", reject);
    // However it ends, it ends: one that never did would hold its place among the deliveries of all orgs.
    request.on("close", () => reject(new Error("closed")));
    request.end(body);
  });
}

/** A look-up cannot be aborted: it is left behind. */
async function before<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(new Error("aborted"));
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Seconds or a date (RFC 9110, 10.2.3). */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^[0-9]{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
}

/** Codes and our own words: an answer's bytes never get into the log. */
function reasonOf(error: unknown): string {
  if (error instanceof GranaryError) return error.message;
  if (error instanceof Error && "code" in error && typeof error.code === "string")
    return error.code.startsWith("HPE_") ? `the answer is no HTTP (${error.code})` : error.code;
  return "the connection failed";
}
