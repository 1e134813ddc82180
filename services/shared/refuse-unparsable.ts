import { randomBytes } from "node:crypto";
import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { GranaryError } from "../../proto/errors.ts";
import { toProblem } from "./problem.ts";

/** What Node keeps on a socket while an answer is under way there. */
interface PendingAnswer extends NodeJS.EventEmitter {
  readonly headersSent: boolean;
  readonly req: { readonly complete: boolean };
}

/**
 * Answers what Node's HTTP parser refuses (smuggling forms, oversized or slow headers, junk), which reaches no route: a problem
 * document, then the end of the connection. Junk behind a whole request does not take that request's answer away.
 */
export function refuseUnparsable(error: Error & { code?: string }, socket: Socket): void {
  const answer = Reflect.get(socket, "_httpMessage") as PendingAnswer | null | undefined;
  // What failed before it was TLS has nothing to read an answer with.
  if (!socket.writable || error.code === "ECONNRESET" || error.code?.startsWith("ERR_SSL") === true) {
    socket.destroy();
    return;
  }
  if (answer?.req.complete === true) {
    socket.pause();
    answer.once("finish", () => socket.end(() => socket.destroy()));
    return;
  }
  if (answer?.headersSent === true) {
    socket.destroy();
    return;
  }
  const { status, message } = REFUSALS[error.code ?? ""] ?? NOT_HTTP;
  const id = `req_${randomBytes(9).toString("base64url")}`;
  const body = JSON.stringify(toProblem(new GranaryError("USAGE", message, { http_status: status }), id));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "Content-Type: application/problem+json; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${id}`,
    "Connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`, () => socket.destroy());
}

const NOT_HTTP = { status: 400, message: "the request is not valid HTTP/1.1" };
const REFUSALS: Readonly<Record<string, typeof NOT_HTTP>> = {
  HPE_HEADER_OVERFLOW: { status: 431, message: "the request's headers are larger than 16 KiB" },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { status: 413, message: "the chunk extensions are too large" },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, message: "the request's headers took too long" },
};
