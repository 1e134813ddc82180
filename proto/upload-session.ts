import type { Digest } from "./digest.ts";
import { GranaryError } from "./errors.ts";
import type { Name } from "./names.ts";

/**
 * An upload session of a directory publish, as it lies in the inbox: this as one line of JSON, the missing ranges as a second,
 * then the listing. It is durable before the client is told of it, so it survives the farm that made it.
 */
export interface UploadSession {
  readonly v: 1;
  readonly org: Name;
  readonly project: Name;
  /** Digest of the listing. */
  readonly tree: Digest;
  readonly missing_blobs: number;
  /** Length of the stream: the missing contents in listing order, nothing between them. */
  readonly missing_bytes: number;
  readonly expires_at: string;
  readonly stats: SessionStats;
  readonly warnings: readonly string[];
}

/** Measured against the project's recent releases when the session was made (ruling 8). */
export interface SessionStats {
  readonly new_blobs: number;
  readonly new_blob_bytes: number;
  readonly reused_blobs: number;
  readonly reused_blob_bytes: number;
}

/** `[first, count]` in the sequence of a listing's distinct contents. */
export type BlobRange = readonly [first: number, count: number];

const LINE_FEED = 10;

/** What precedes the listing in a session's file. */
export function encodeSessionHead(session: UploadSession, missing: readonly BlobRange[]): Buffer {
  return Buffer.from(`${JSON.stringify(session)}\n${JSON.stringify(missing)}\n`);
}

/** The first line of a session's file. @throws GranaryError STORE_CORRUPT */
export function parseSessionLine(line: string): UploadSession {
  const session = JSON.parse(line) as UploadSession;
  if (session.v !== 1)
    throw new GranaryError("STORE_CORRUPT", `an upload session of format ${String(session.v)}`);
  return session;
}

/** A whole session file. @throws GranaryError STORE_CORRUPT */
export function parseSessionFile(bytes: Buffer): {
  session: UploadSession;
  missing: readonly BlobRange[];
  listing: Buffer;
} {
  const first = bytes.indexOf(LINE_FEED);
  const second = bytes.indexOf(LINE_FEED, first + 1);
  if (first < 0 || second < 0) throw new GranaryError("STORE_CORRUPT", "an upload session without its lines");
  return {
    session: parseSessionLine(bytes.toString("utf8", 0, first)),
    missing: JSON.parse(bytes.toString("utf8", first + 1, second)) as readonly BlobRange[],
    listing: bytes.subarray(second + 1),
  };
}

/** A session's id follows from that of the publish which it becomes: a commit that is asked for twice is one publish. */
export function sessionIdOf(publishId: string): string {
  return publishId.replace(/^pub_/, SESSION_PREFIX);
}

/** undefined for what is no session's id. */
export function publishIdOf(sessionId: string): string | undefined {
  return SESSION_ID.test(sessionId) ? sessionId.replace(SESSION_PREFIX, "pub_") : undefined;
}

const SESSION_PREFIX = "upl_";
/** As `newId` makes them. */
const SESSION_ID = /^upl_[0-9a-hjkmnp-tv-z]{26}$/;
