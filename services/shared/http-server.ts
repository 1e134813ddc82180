import { randomBytes } from "node:crypto";
import type { IncomingMessage, Server as NodeServer, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from "fastify";
import { type ErrorCode, GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { Log } from "./log.ts";
import { toProblem } from "./problem.ts";
import { refuseUnparsable } from "./refuse-unparsable.ts";

export type HttpServer = FastifyInstance;
export type HttpRequest = FastifyRequest;
export type HttpReply = FastifyReply;

/** PEM texts. */
export interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/**
 * The HTTP server that every role shares: strict about requests (one Host, bounded headers, bodies and nesting), problem+json
 * for every failure, a request id on every answer, one log line a request without secrets.
 */
export function createHttpServer(options: { log: Log; tls?: TlsFiles | undefined }): HttpServer {
  const { tls } = options;
  const limits = {
    headersTimeout: LIMITS.headersMs,
    maxHeaderSize: 16_384,
    connectionsCheckingInterval: 2_000,
    // A missing Host is refused below, in the form of every other failure.
    requireHostHeader: false,
  };
  const server: HttpServer = fastify({
    genReqId: () => `req_${randomBytes(9).toString("base64url")}`,
    bodyLimit: LIMITS.jsonBodyBytes,
    routerOptions: { maxParamLength: 512 },
    // Uploads may take as long as they keep sending; idle bodies are cut off where they are read.
    requestTimeout: 0,
    keepAliveTimeout: 65_000,
    // Routes have no schemas of fastify's; its defaults load two compilers for them, 150 ms of CPU at each start.
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
    forceCloseConnections: "idle",
    // While closing, requests on open connections are still answered: routes that write refuse them themselves.
    return503OnClosing: false,
    logger: false,
    exposeHeadRoutes: false,
    http: limits,
    // Both kinds of server have all that is used of one.
    ...(tls && ({ https: { ...limits, ...tls, handshakeTimeout: LIMITS.headersMs } } as object)),
    clientErrorHandler: refuseUnparsable,
    frameworkErrors: (error, request, reply) => sendProblem(reply, request, toGranaryError(error)),
  });
  server.server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
    // 100 Continue is sent by `sendContinue` after authentication, never before.
    expectsContinue.add(request);
    server.server.emit("request", request, response);
  });
  // RFC 9110, 10.1.1: an expectation that nobody knows may be ignored.
  server.server.on("checkExpectation", (request: IncomingMessage, response: ServerResponse) =>
    server.server.emit("request", request, response),
  );
  // Else Node drops what comes behind the 2,000th silently; their size is bounded anyway.
  server.server.maxHeadersCount = 0;
  trackIdleSockets(server.server);
  server.removeAllContentTypeParsers();
  server.addContentTypeParser(
    "application/json",
    { parseAs: "buffer", bodyLimit: LIMITS.jsonBodyBytes },
    (_request, body, done) => {
      try {
        done(null, body.length === 0 ? {} : parseJson(body as Buffer));
      } catch (error) {
        done(error as Error);
      }
    },
  );
  // Everything else is handed over as the raw stream; routes that take no stream refuse it.
  server.addContentTypeParser("*", (_request, payload, done) => done(null, payload));
  server.addHook("onRequest", (request, reply, done) => {
    reply.header("x-request-id", request.id);
    done(requestProblem(request.raw));
  });
  server.addHook("preParsing", (request, _reply, payload, done) => {
    if (request.headers["content-type"]?.startsWith("application/json") === true) limitBodyTime(request.raw);
    done(null, payload);
  });
  server.addHook("onSend", (_request, reply, payload, done) => {
    // Who takes nothing of an answer would keep its content in memory, and from being collected. Node ends the connection.
    reply.raw.setTimeout(LIMITS.answerIdleMs);
    done(null, payload);
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
      new GranaryError("NOT_FOUND", `no route ${request.method} ${pathOf(request.url).slice(0, 200)}`, {
        hint: "A farm's URL ends behind host and port; `/openapi.json` lists the routes below it.",
      }),
    ),
  );
  return server;
}

function noSchemas(): never {
  throw new RangeError("a route has a schema of fastify's");
}

/** Stops listening and waits for the answers that are under way; what is still open after `graceMs` is cut off. */
export async function closeHttpServer(server: HttpServer, graceMs: number): Promise<void> {
  const deadline = performance.now() + graceMs;
  const idle = idleSockets.get(server.server) ?? new Set();
  const sweep = setInterval(() => {
    for (const socket of idle) socket.destroy();
    if (performance.now() > deadline) server.server.closeAllConnections();
  }, SWEEP_INTERVAL_MS);
  try {
    await server.close();
  } finally {
    clearInterval(sweep);
  }
}

const SWEEP_INTERVAL_MS = 50;
const idleSockets = new WeakMap<NodeServer, Set<Socket>>();

/** Connections without a request under way. To Node, one that never sent anything counts as busy, and would delay the end. */
function trackIdleSockets(server: NodeServer): void {
  const idle = new Set<Socket>();
  idleSockets.set(server, idle);
  /** Those that have not spoken TLS yet, by who is at their other end: a socket of TLS does not name the one below it. */
  const bare = new Map<string, Socket>();
  server.on("connection", (socket) => {
    const peer = peerOf(socket);
    bare.set(peer, socket);
    idle.add(socket);
    socket.once("close", () => {
      idle.delete(socket);
      if (bare.get(peer) === socket) bare.delete(peer);
    });
  });
  server.on("secureConnection", (socket: Socket) => {
    const below = bare.get(peerOf(socket));
    if (below !== undefined) idle.delete(below);
    idle.add(socket);
    socket.once("close", () => idle.delete(socket));
  });
  server.on("request", (request, response) => {
    const { socket } = request;
    idle.delete(socket);
    response.once("close", () => {
      if (!socket.destroyed) idle.add(socket);
    });
  });
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

const expectsContinue = new WeakSet<IncomingMessage>();

/** Answers `Expect: 100-continue`; call it once the request is known to be welcome. */
export function sendContinue(request: HttpRequest, reply: HttpReply): void {
  if (expectsContinue.delete(request.raw)) reply.raw.writeContinue();
}

function sendProblem(reply: HttpReply, request: HttpRequest, error: GranaryError): HttpReply {
  const problem = toProblem(error, request.id);
  const { status } = problem;
  reply.header("x-request-id", request.id);
  if (status === 401 && !reply.hasHeader("www-authenticate"))
    reply.header("www-authenticate", 'Bearer realm="granary"');
  if (error.spec.retryable && !reply.hasHeader("retry-after"))
    reply.header("retry-after", String(error.detail["retry_after_s"] ?? 1));
  leaveUnreadBody(request, reply);
  return reply.code(status).type("application/problem+json").send(JSON.stringify(problem));
}

/** How long a client may go on sending a body whose answer it has already got. */
const UNREAD_BODY_MS = 5_000;

/**
 * An answer that comes before the body was read: what is still on its way is read and dropped, because closing on unread data
 * resets the connection and takes the answer with it. Who waits for 100 Continue sends nothing more.
 */
export function leaveUnreadBody(request: HttpRequest, reply: HttpReply): void {
  const { raw } = request;
  if (
    raw.complete ||
    (raw.headers["content-length"] === undefined && raw.headers["transfer-encoding"] === undefined)
  )
    return;
  if (expectsContinue.has(raw)) {
    reply.header("connection", "close");
    return;
  }
  // A request whose reading was broken off has no socket any more.
  const { socket } = reply.raw;
  if (socket === null) return;
  const timer = setTimeout(() => socket.destroy(), UNREAD_BODY_MS).unref();
  raw.once("end", () => clearTimeout(timer));
  // For a client that asked for it, Node closes as soon as the answer is out.
  if (raw.httpVersion === "1.0" || /\bclose\b/i.test(raw.headers.connection ?? "")) {
    const close = socket.destroySoon.bind(socket);
    socket.destroySoon = () => (raw.complete ? close() : raw.once("end", close));
  }
  raw.resume();
}

/** A JSON body is small: one that is not there in time is cut off, because it is read before anybody has authenticated. */
function limitBodyTime(raw: IncomingMessage): void {
  const { socket } = raw;
  const timer = setTimeout(() => socket.destroy(), LIMITS.bodyIdleMs).unref();
  raw.once("end", () => clearTimeout(timer)).once("close", () => clearTimeout(timer));
}

function toGranaryError(error: FastifyError | GranaryError): GranaryError {
  if (error instanceof GranaryError) return error;
  const code = FASTIFY_CODES[error.code];
  if (code !== undefined) return new GranaryError(code, error.message);
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500)
    return new GranaryError("USAGE", error.message.slice(0, 200));
  return new GranaryError("INTERNAL", "an unexpected error; the farm's log has it under this request id");
}

const FASTIFY_CODES: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: "BODY_TOO_LARGE",
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "USAGE",
};

const JSON_DEPTH_MAX = 32;

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** JSON.parse recurses: nesting is bounded before it runs. @throws GranaryError USAGE */
function parseJson(bytes: Uint8Array): unknown {
  const text = decodeUtf8(bytes);
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

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch (cause) {
    throw new GranaryError("USAGE", "the JSON body is not valid UTF-8", {}, { cause });
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

/**
 * HTTP/1.0 and 1.1 only; and RFC 9112 section 3.2: a request with no or several Host fields is refused, because proxies disagree
 * about which one counts.
 */
function requestProblem(request: IncomingMessage): Error | undefined {
  const { httpVersion: version } = request;
  if (version !== "1.1" && version !== "1.0")
    return new GranaryError("USAGE", `HTTP/${version} is not spoken here`);
  let hosts = 0;
  for (let i = 0; i < request.rawHeaders.length; i += 2)
    if (request.rawHeaders[i]?.toLowerCase() === "host") hosts += 1;
  if (hosts > 1) return new GranaryError("USAGE", "the request has several Host headers");
  if (hosts === 0 && version === "1.1") return new GranaryError("USAGE", "the request has no Host header");
  return undefined;
}

function pathOf(url: string): string {
  const at = url.indexOf("?");
  return at < 0 ? url : url.slice(0, at);
}
