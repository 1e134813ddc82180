import { once } from "node:events";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { type ApiAnswer, type ApiClient, type Query, readAnswer } from "./api-client.ts";
import { openRequest } from "./open-request.ts";

export interface BodyRequest {
  readonly method: "POST" | "PUT";
  readonly path: string;
  readonly query?: Query;
  readonly headers: Readonly<Record<string, string>>;
  readonly stream: Readable;
  /** Ask whether the body is welcome before it is sent. */
  readonly expectContinue?: boolean;
  readonly onSent?: (bytes: number) => void;
}

export interface BodyAnswer<T> extends ApiAnswer<T> {
  /** False when the farm answered before it had read everything. */
  readonly complete: boolean;
}

/** How long an old server may take to say 100 Continue before the body is sent anyway (RFC 9110, 10.1.1). */
const CONTINUE_MS = 1_000;
const IDLE_MS = 120_000;

/**
 * Streams a body to the farm, no faster than it is taken. The farm may refuse before the body (Expect: 100-continue) or in the
 * middle of it; its answer is what counts, not the pipe that it broke.
 * @throws GranaryError the farm's refusal, NO_FARM, UNAVAILABLE; whatever reading the stream failed with
 */
export async function sendBody<T>(api: ApiClient, body: BodyRequest): Promise<BodyAnswer<T>> {
  const { request, response } = openRequest({
    method: body.method,
    url: api.target(body.path, body.query),
    farmUrl: api.url,
    headers: await api.headers({
      ...body.headers,
      ...(body.expectContinue === true ? { expect: "100-continue" } : {}),
    }),
    signal: api.signal,
    idleMs: IDLE_MS,
  });
  let answered = false;
  const answer = response.finally(() => {
    answered = true;
  });
  answer.catch(() => undefined);
  try {
    if (body.expectContinue === true) {
      request.flushHeaders();
      await Promise.race([
        once(request, "continue", { signal: api.signal }).catch(() => undefined),
        answer,
        sleep(CONTINUE_MS, undefined, { ref: false }),
      ]);
    }
    for await (const chunk of untilEnded(body.stream, answer)) {
      if (answered) break;
      const bytes: Buffer = chunk;
      if (!request.write(bytes)) await Promise.race([drained(request), answer]);
      body.onSent?.(bytes.byteLength);
    }
    const complete = !answered;
    if (complete) request.end();
    return { ...(await readAnswer<T>(await answer, api.url)), complete };
  } finally {
    body.stream.destroy();
    request.destroy();
  }
}

/** What a stream gives until somebody else is done: one that stalls, as a pipe may, would hold up the answer for ever. */
async function* untilEnded(stream: Readable, end: Promise<unknown>): AsyncGenerator<Buffer, void, undefined> {
  const chunks: AsyncIterator<Buffer> = stream[Symbol.asyncIterator]();
  const ended = end.then(
    () => undefined,
    () => undefined,
  );
  for (;;) {
    const next = await Promise.race([chunks.next(), ended]);
    if (next === undefined || next.done === true) return;
    yield next.value;
  }
}

function drained(request: NodeJS.EventEmitter): Promise<void> {
  return new Promise((resolve) => request.once("drain", () => resolve()));
}
