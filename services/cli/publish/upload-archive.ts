import { once } from "node:events";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { PublishJson } from "../../../proto/http.ts";
import { type ApiAnswer, type ApiClient, type Query, readAnswer } from "../http/api-client.ts";
import { openRequest } from "../http/open-request.ts";

export interface ArchiveUpload {
  readonly path: string;
  readonly query: Query;
  readonly idempotencyKey: string;
  /** Content of the archive, with its length and digest where they are known beforehand. */
  readonly stream: Readable;
  readonly sizeBytes?: number;
  /** RFC 9530 Content-Digest. */
  readonly contentDigest?: string;
  readonly onSent: (bytes: number) => void;
}

export interface UploadAnswer extends ApiAnswer<PublishJson> {
  /** False when the farm answered before it had read everything. */
  readonly complete: boolean;
}

/** How long an old server may take to say 100 Continue before the body is sent anyway (RFC 9110, 10.1.1). */
const CONTINUE_MS = 1_000;
const IDLE_MS = 120_000;

/**
 * Streams an archive to the farm, no faster than it is taken. The farm may refuse before the body (Expect: 100-continue) or in
 * the middle of it; its answer is what counts, not the pipe that it broke.
 * @throws GranaryError the farm's refusal, NO_FARM, UNAVAILABLE; whatever reading the archive failed with
 */
export async function uploadArchive(api: ApiClient, upload: ArchiveUpload): Promise<UploadAnswer> {
  const { request, response } = openRequest({
    method: "POST",
    url: api.target(upload.path, upload.query),
    farmUrl: api.url,
    headers: api.headers({
      "content-type": "application/gzip",
      "idempotency-key": upload.idempotencyKey,
      expect: "100-continue",
      ...(upload.sizeBytes === undefined ? {} : { "content-length": String(upload.sizeBytes) }),
      ...(upload.contentDigest === undefined ? {} : { "content-digest": upload.contentDigest }),
    }),
    signal: api.signal,
    idleMs: IDLE_MS,
  });
  request.flushHeaders();
  let answered = false;
  const answer = response.finally(() => {
    answered = true;
  });
  answer.catch(() => undefined);
  try {
    await Promise.race([
      once(request, "continue", { signal: api.signal }).catch(() => undefined),
      answer,
      sleep(CONTINUE_MS, undefined, { ref: false }),
    ]);
    for await (const chunk of upload.stream) {
      if (answered) break;
      const bytes: Buffer = chunk;
      if (!request.write(bytes)) await Promise.race([drained(request), answer]);
      upload.onSent(bytes.byteLength);
    }
    const complete = !answered;
    if (complete) request.end();
    return { ...(await readAnswer<PublishJson>(await answer, api.url)), complete };
  } finally {
    upload.stream.destroy();
    request.destroy();
  }
}

function drained(request: NodeJS.EventEmitter): Promise<void> {
  return new Promise((resolve) => request.once("drain", () => resolve()));
}
