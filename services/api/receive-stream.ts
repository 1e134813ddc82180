import type { IncomingMessage } from "node:http";
import { GranaryError } from "../../proto/errors.ts";
import type { ResumableUpload } from "../../store/upload.ts";
import type { ApiContext } from "./context.ts";
import { roomFor, withIdleTimeout } from "./receive-upload.ts";
import { type FoundSession, type UploadSessions, wrongOffset } from "./upload-sessions.ts";

/**
 * Receives streams of upload sessions, one request a session at a time: what has arrived stays when the connection breaks. A newer
 * request takes over from one whose client may be long gone.
 */
export class StreamReceiver {
  readonly #sessions: UploadSessions;
  readonly #assertRoom: ApiContext["assertRoom"];
  readonly #receiving = new Map<
    string,
    { readonly body: IncomingMessage; readonly done: Promise<unknown> }
  >();

  constructor(sessions: UploadSessions, assertRoom: ApiContext["assertRoom"]) {
    this.#sessions = sessions;
    this.#assertRoom = assertRoom;
  }

  /**
   * Appends a body at `offset`.
   * @throws GranaryError UPLOAD_OFFSET with the right offset, BODY_TOO_LARGE, STORE_FULL, USAGE on a body that ends early,
   *   STATE_CONFLICT when the session was committed
   */
  async receive(found: FoundSession, body: IncomingMessage, offset: number): Promise<void> {
    await this.stop(found.id);
    const done = this.#receive(found, body, offset);
    const receiving = { body, done: done.catch(() => undefined) };
    this.#receiving.set(found.id, receiving);
    try {
      await done;
    } finally {
      if (this.#receiving.get(found.id) === receiving) this.#receiving.delete(found.id);
    }
  }

  /** Ends what is being received for a session; what has arrived is there afterwards. */
  async stop(sessionId: string): Promise<void> {
    for (let other = this.#receiving.get(sessionId); other !== undefined; ) {
      other.body.destroy();
      await other.done;
      if (this.#receiving.get(sessionId) === other) this.#receiving.delete(sessionId);
      other = this.#receiving.get(sessionId);
    }
  }

  async #receive(found: FoundSession, body: IncomingMessage, offset: number): Promise<void> {
    const { publishId, session } = found;
    if (this.#sessions.isSealed(publishId))
      throw new GranaryError("STATE_CONFLICT", `the upload session ${found.id} was committed`);
    const stream = await this.#sessions.openStream(found);
    try {
      if (stream.size !== offset) throw wrongOffset(stream.size, session.missing_bytes);
      refuseLonger(offset + Number(body.headers["content-length"] ?? 0), session.missing_bytes);
      const checkRoom = roomFor(body, this.#assertRoom);
      await append(stream, body, {
        limit: session.missing_bytes,
        onChunk: (bytes) => {
          checkRoom(bytes);
          this.#sessions.touch(found);
        },
      });
    } finally {
      await stream.pause();
    }
    if (!body.complete) throw new GranaryError("USAGE", "the connection ended before the body did");
  }
}

async function append(
  stream: ResumableUpload,
  body: IncomingMessage,
  { limit, onChunk }: { limit: number; onChunk: (bytes: number) => void },
): Promise<void> {
  try {
    for await (const chunk of withIdleTimeout(body)) {
      refuseLonger(stream.size + chunk.byteLength, limit);
      await stream.write(chunk);
      onChunk(chunk.byteLength);
    }
  } catch (cause) {
    // A connection that breaks is no fault of the farm's.
    if (cause instanceof GranaryError || !body.destroyed) throw cause;
    throw new GranaryError("USAGE", "the connection ended before the body did", {}, { cause });
  }
}

function refuseLonger(size: number, limit: number): void {
  if (size > limit)
    throw new GranaryError("BODY_TOO_LARGE", `the stream has ${limit} bytes, not ${size}`, {
      actual: size,
      limit,
    });
}
