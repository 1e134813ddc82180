import http from "node:http";
import { createRequire } from "node:module";
import { GranaryError } from "../../../proto/errors.ts";

export interface RequestOptions {
  readonly method: string;
  /** Whole url of the request. */
  readonly url: URL;
  /** Url of the farm, for messages. */
  readonly farmUrl: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Silence on the connection after which it counts as lost. */
  readonly idleMs: number;
}

/** A request that is under way: what is written goes out, `response` settles with the answer's head. */
export interface OpenRequest {
  readonly request: http.ClientRequest;
  /** @throws GranaryError NO_FARM when nobody listens, UNAVAILABLE when the connection breaks */
  readonly response: Promise<http.IncomingMessage>;
}

/** Opens a request with node:http, the one client whose bodies stream with back-pressure and whose answers may come first. */
export function openRequest(options: RequestOptions): OpenRequest {
  const { method, url, headers, signal, idleMs, farmUrl } = options;
  const client = url.protocol === "https:" ? loadHttps() : http;
  const request = client.request(url, { method, headers, signal });
  request.setTimeout(idleMs, () =>
    request.destroy(
      new GranaryError("UNAVAILABLE", `${farmUrl} was silent for ${Math.round(idleMs / 1000)} s`),
    ),
  );
  const response = new Promise<http.IncomingMessage>((resolve, reject) => {
    request.once("response", resolve);
    // `on`: after an early answer, a broken pipe of the body must not go unheard.
    request.on("error", (error) => reject(connectionError(error, farmUrl)));
  });
  // The promise may settle before anyone awaits it.
  response.catch(() => undefined);
  return { request, response };
}

/** TLS takes 7 ms to load, and a farm on this machine does not speak it. */
function loadHttps(): typeof import("node:https") {
  return createRequire(import.meta.url)("node:https");
}

const NOBODY = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ETIMEDOUT",
  "ENOENT",
]);

/** TLS where there is none, or an answer that is no HTTP. */
const OTHER_PROTOCOL = /^(?:EPROTO|ERR_SSL_|HPE_INVALID)/;

/** What a failed connection means: nobody there, or a link that broke. */
export function connectionError(error: unknown, farmUrl: string): unknown {
  if (error instanceof GranaryError || !(error instanceof Error) || error.name === "AbortError") return error;
  const code = "code" in error ? String(error.code) : "";
  if (NOBODY.has(code))
    return new GranaryError(
      "NO_FARM",
      `No farm at ${farmUrl}. Start one: npm start`,
      { url: farmUrl, reason: code },
      { cause: error },
    );
  if (OTHER_PROTOCOL.test(code)) {
    const [speaks, other] = farmUrl.startsWith("https:") ? ["https", "http"] : ["http", "https"];
    return new GranaryError(
      "NO_FARM",
      `what listens at ${farmUrl} does not speak ${speaks}`,
      { url: farmUrl, reason: code, hint: `Check the URL: ${other}:// may be meant, or another port.` },
      { cause: error },
    );
  }
  return new GranaryError(
    "UNAVAILABLE",
    `the connection to ${farmUrl} broke (${code || error.message})`,
    { url: farmUrl, reason: code },
    { cause: error },
  );
}

/** Whole body of an answer as text. @throws GranaryError UNAVAILABLE when it breaks off */
export async function readBody(response: http.IncomingMessage, farmUrl: string): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(Buffer.from(chunk));
  } catch (error) {
    throw connectionError(error, farmUrl);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** A body as JSON, or as the text it is when it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
