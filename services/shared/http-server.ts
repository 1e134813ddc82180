import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from "fastify";
import { type ErrorCode, GranaryError } from "../../proto/errors.ts";
import type { Problem } from "../../proto/http.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { Log } from "./log.ts";

export type HttpServer = FastifyInstance;
export type HttpRequest = FastifyRequest;
export type HttpReply = FastifyReply;

/**
 * The HTTP server that every role shares: strict about requests (one Host, bounded headers, bodies and nesting), problem+json
 * for every failure, a request id on every answer, one log line a request without secrets.
 */
export function createHttpServer(options: { log: Log }): HttpServer {
  const server = fastify({
    genReqId: () => `req_${randomBytes(9).toString("base64url")}`,
    bodyLimit: LIMITS.jsonBodyBytes,
    routerOptions: { maxParamLength: 512 },
    // Uploads may take as long as they keep sending; idle bodies are cut off where they are read.
    requestTimeout: 0,
    keepAliveTimeout: 65_000,
    forceCloseConnections: "idle",
    logger: false,
    exposeHeadRoutes: false,
    http: { headersTimeout: LIMITS.headersMs, maxHeaderSize: 16_384, connectionsCheckingInterval: 2_000 },
  });
  server.server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
    // 100 Continue is sent by `sendContinue` after authentication, never before.
    expectsContinue.add(request);
    server.server.emit("request", request, response);
  });
  server.removeAllContentTypeParsers();
  server.addContentTypeParser(
    "application/json",
    { parseAs: "string", bodyLimit: LIMITS.jsonBodyBytes },
    (_request, body, done) => {
      try {
        done(null, body === "" ? {} : parseJson(String(body)));
      } catch (error) {
        done(error as Error);
      }
    },
  );
  // Everything else is handed over as the raw stream; routes that take no stream refuse it.
  server.addContentTypeParser("*", (_request, payload, done) => done(null, payload));
  server.addHook("onRequest", (request, reply, done) => {
    reply.header("x-request-id", request.id);
    done(hostProblem(request.raw));
  });
  server.addHook("onResponse", (request, reply, done) => {
    options.log.info(
      {
        request_id: request.id,
        method: request.method,
        path: pathOf(request.url),
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
      },
      "request",
    );
    done();
  });
  server.setErrorHandler((error: FastifyError | GranaryError, request, reply) => {
    const known = toGranaryError(error);
    if (known.code === "INTERNAL")
      options.log.error({ request_id: request.id, err: error }, "request failed");
    return sendProblem(reply, request, known);
  });
  server.setNotFoundHandler((request, reply) =>
    sendProblem(
      reply,
      request,
      new GranaryError("NOT_FOUND", `no route ${request.method} ${pathOf(request.url).slice(0, 200)}`),
    ),
  );
  return server;
}

const expectsContinue = new WeakSet<IncomingMessage>();

/** Answers `Expect: 100-continue`; call it once the request is known to be welcome. */
export function sendContinue(request: HttpRequest, reply: HttpReply): void {
  if (expectsContinue.delete(request.raw)) reply.raw.writeContinue();
}

function sendProblem(reply: HttpReply, request: HttpRequest, error: GranaryError): HttpReply {
  const problem = toProblem(error, request.id);
  const { status } = problem;
  if (status === 401 && !reply.hasHeader("www-authenticate"))
    reply.header("www-authenticate", 'Bearer realm="granary"');
  if (error.spec.retryable && !reply.hasHeader("retry-after"))
    reply.header("retry-after", String(error.detail["retry_after_s"] ?? 1));
  leaveUnreadBody(request, reply);
  return reply.code(status).type("application/problem+json").send(JSON.stringify(problem));
}

/** An answer that comes before the body was read ends the connection, after the client had time to read the answer. */
function leaveUnreadBody(request: HttpRequest, reply: HttpReply): void {
  const { raw } = request;
  if (
    raw.complete ||
    raw.readableEnded ||
    (raw.headers["content-length"] === undefined && raw.headers["transfer-encoding"] === undefined)
  )
    return;
  reply.header("connection", "close");
  raw.resume();
  const socket = raw.socket;
  setTimeout(() => socket.destroy(), 5_000).unref();
}

function toProblem(error: GranaryError, requestId: string): Problem {
  const { pointer, http_status: status, ...params } = error.detail;
  return {
    type: `urn:granary:error:${error.code}`,
    title: error.spec.title,
    // One code, two statuses: a failed If-Match is 412, the same condition in the body 409.
    status: typeof status === "number" ? status : error.spec.http,
    detail: error.message,
    code: error.code,
    hint: error.spec.hint,
    retryable: error.spec.retryable,
    request_id: requestId,
    params,
    ...(typeof pointer === "string" ? { errors: [{ pointer, message: error.message }] } : {}),
  };
}

function toGranaryError(error: FastifyError | GranaryError): GranaryError {
  if (error instanceof GranaryError) return error;
  const code = FASTIFY_CODES[error.code];
  if (code !== undefined) return new GranaryError(code, error.message);
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500)
    return new GranaryError("USAGE", error.message);
  return new GranaryError("INTERNAL", "an unexpected error; the farm's log has it under this request id");
}

const FASTIFY_CODES: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: "BODY_TOO_LARGE",
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "USAGE",
};

const JSON_DEPTH_MAX = 32;

/** JSON.parse recurses: nesting is bounded before it runs. @throws GranaryError USAGE */
function parseJson(text: string): unknown {
  const depth = nestingOf(text);
  if (depth > JSON_DEPTH_MAX) {
    throw new GranaryError("USAGE", `the JSON body is nested deeper than ${JSON_DEPTH_MAX} levels`, {
      limit: JSON_DEPTH_MAX,
    });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new GranaryError("USAGE", "the body is not valid JSON", {}, { cause });
  }
}

/** Deepest nesting of brackets outside strings; brackets inside strings are skipped with their string. */
function nestingOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"?|[[\]{}]/gs)) {
    if (token === "[" || token === "{") deepest = Math.max(deepest, ++depth);
    else if (token === "]" || token === "}") depth -= 1;
  }
  return deepest;
}

/** RFC 9112 section 3.2: a request with no or several Host fields is refused; proxies disagree about which one counts. */
function hostProblem(request: IncomingMessage): Error | undefined {
  let hosts = 0;
  for (let i = 0; i < request.rawHeaders.length; i += 2)
    if (request.rawHeaders[i]?.toLowerCase() === "host") hosts += 1;
  return hosts > 1 ? new GranaryError("USAGE", "the request has several Host headers") : undefined;
}

function pathOf(url: string): string {
  const at = url.indexOf("?");
  return at < 0 ? url : url.slice(0, at);
}
