import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** An answer as it came over the wire. */
export interface RawAnswer {
  /** 0: the connection ended without an answer. */
  readonly status: number;
  readonly head: string;
  readonly body: string;
  readonly ms: number;
}

/** A TCP connection to the farm, for requests that no client library would send. */
export async function rawConnection(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  // A reset is one of the things that tests provoke.
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

/** Sends bytes as they are and reads the first answer, or what comes until the end or the time is over. */
export async function rawRequest(
  url: string,
  text: string | readonly (string | Uint8Array)[],
  options: { timeoutMs?: number; isInterimEnough?: boolean } = {},
): Promise<RawAnswer> {
  const began = performance.now();
  const socket = await rawConnection(url);
  for (const part of typeof text === "string" ? [text] : text) socket.write(part);
  const received = await readAnswer(socket, options.timeoutMs ?? 10_000, options);
  socket.destroy();
  return { ...parseAnswer(received), ms: performance.now() - began };
}

/** What came until one answer is whole, the connection ends, or the time is over. */
export function readAnswer(
  socket: Socket,
  timeoutMs: number,
  { isInterimEnough = false }: { isInterimEnough?: boolean } = {},
): Promise<string> {
  return new Promise((resolve) => {
    let received = "";
    const finish = (): void => {
      clearTimeout(timer);
      resolve(received);
    };
    const timer = setTimeout(finish, timeoutMs);
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
      if (isWhole(received, isInterimEnough)) finish();
    });
    socket.once("close", finish);
  });
}

function isWhole(received: string, isInterimEnough: boolean): boolean {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return false;
  if (received.startsWith("HTTP/1.1 100")) return isInterimEnough;
  const length = /\r\ncontent-length: *([0-9]+)/i.exec(received.slice(0, end))?.[1];
  return length !== undefined && received.length >= end + 4 + Number(length);
}

export function parseAnswer(received: string): Omit<RawAnswer, "ms"> {
  const end = received.indexOf("\r\n\r\n");
  const head = end < 0 ? received : received.slice(0, end);
  const status = Number(/^HTTP\/1\.1 ([0-9]{3})/.exec(head)?.[1] ?? 0);
  return { status, head, body: end < 0 ? "" : received.slice(end + 4) };
}
