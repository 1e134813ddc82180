import type { IncomingMessage } from "node:http";
import { type Digest, digestFromBytes } from "../../proto/digest.ts";
import { GranaryError } from "../../proto/errors.ts";
import { type ArchiveLimits, LIMITS } from "../../proto/limits.ts";
import type { Upload } from "../../store/upload.ts";
import type { ApiContext } from "./context.ts";

const GZIP_MAGIC = 0x1f8b;
/** As much as may be on its way to the disk; statfs takes 3 us. */
const ROOM_CHECK_BYTES = 1024 * 1024;

/**
 * Streams a request body into the store's inbox: never whole in memory, refused as early as its first bytes allow, cut off when
 * it stops sending. The caller seals or aborts the upload.
 *
 * @throws GranaryError ARCHIVE_EMPTY, ARCHIVE_NOT_GZIP, ARCHIVE_UPLOAD_TOO_LARGE, STORE_FULL, USAGE on a body that ends early
 */
export async function receiveUpload(
  body: IncomingMessage,
  upload: Upload,
  { limits, assertRoom }: Pick<ApiContext, "limits" | "assertRoom">,
): Promise<void> {
  const checkRoom = roomFor(body, assertRoom);
  let received = 0;
  for await (const chunk of withIdleTimeout(body)) {
    checkRoom(chunk.byteLength);
    if (received === 0) refuseOtherFormats(chunk);
    received += chunk.byteLength;
    if (received > limits.uploadBytes) throw tooLarge(received, limits);
    await upload.write(chunk);
  }
  if (received === 0) throw new GranaryError("ARCHIVE_EMPTY", "the request body is empty", { offset: 0 });
  if (!body.complete) throw new GranaryError("USAGE", "the connection ended before the body did");
}

/**
 * Asks for the room of what is announced, and again with every MiB that has come: who takes the last of a disk leaves none to the
 * commands that retire releases and cancel publishes.
 * @throws GranaryError STORE_FULL, at once and from what is returned
 */
export function roomFor(
  body: IncomingMessage,
  assertRoom: ApiContext["assertRoom"],
): (receivedBytes: number) => void {
  assertRoom(Number(body.headers["content-length"] ?? 0));
  let unchecked = 0;
  return (bytes) => {
    unchecked += bytes;
    if (unchecked < ROOM_CHECK_BYTES) return;
    unchecked = 0;
    assertRoom();
  };
}

/** Refuses by Content-Length before a byte is read. @throws GranaryError ARCHIVE_UPLOAD_TOO_LARGE */
export function refuseLongBody(body: IncomingMessage, limits: ArchiveLimits): void {
  const announced = Number(body.headers["content-length"] ?? 0);
  if (announced > limits.uploadBytes) throw tooLarge(announced, limits);
}

/** RFC 9530 Content-Digest, `sha-256=:BASE64:`. @throws GranaryError USAGE */
export function contentDigest(header: string | string[] | undefined): Digest | undefined {
  if (header === undefined) return undefined;
  const match = /(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):/.exec(String(header));
  if (!match?.[1]) throw new GranaryError("USAGE", "Content-Digest must be sha-256=:BASE64: (RFC 9530)");
  return digestFromBytes(Buffer.from(match[1], "base64"));
}

function tooLarge(actual: number, limits: ArchiveLimits): GranaryError {
  return new GranaryError(
    "ARCHIVE_UPLOAD_TOO_LARGE",
    `the upload has ${actual} bytes or more, limit ${limits.uploadBytes}`,
    {
      actual,
      limit: limits.uploadBytes,
    },
  );
}

/** The common mistakes are told apart by their first bytes, so that the answer can say what was sent instead. */
function refuseOtherFormats(first: Buffer): void {
  if (first.byteLength >= 2 && first.readUInt16BE(0) === GZIP_MAGIC) return;
  if (first.byteLength === 1 && first[0] === GZIP_MAGIC >> 8) return;
  const found = formatOf(first);
  throw new GranaryError("ARCHIVE_NOT_GZIP", `the body is ${found}, not gzip`, { actual: found, offset: 0 });
}

function formatOf(first: Buffer): string {
  const hex = first.subarray(0, 6).toString("hex");
  if (hex.startsWith("504b")) return "a zip archive";
  if (hex.startsWith("fd377a585a00")) return "xz";
  if (hex.startsWith("28b52ffd")) return "zstd";
  if (hex.startsWith("425a68")) return "bzip2";
  if (first.byteLength > 262 && first.subarray(257, 262).toString("latin1") === "ustar")
    return "an uncompressed tar archive";
  return "an unknown format";
}

/**
 * The chunks of a body as they come. Leaving early leaves the body open, so that the answer can still be sent.
 * @throws GranaryError USAGE when the connection breaks, and (408) when it stops sending
 */
export async function* withIdleTimeout(body: IncomingMessage): AsyncGenerator<Buffer, void, undefined> {
  let expire: (error: GranaryError) => void = () => undefined;
  const expired = new Promise<never>((_, reject) => {
    expire = reject;
  });
  expired.catch(() => undefined);
  const idle = setTimeout(() => expire(stalled()), LIMITS.bodyIdleMs);
  const chunks = body.iterator({ destroyOnReturn: false });
  try {
    for (;;) {
      const next: IteratorResult<unknown> = await Promise.race([chunks.next().catch(brokenOff), expired]);
      if (next.done === true) return;
      idle.refresh();
      yield next.value as Buffer;
    }
  } finally {
    clearTimeout(idle);
    // Not awaited: behind a stalled read it would wait for ever.
    chunks.return?.().catch(() => undefined);
  }
}

/** A connection that breaks is no fault of the farm's. */
function brokenOff(cause: unknown): never {
  throw new GranaryError("USAGE", "the connection ended before the body did", {}, { cause });
}

function stalled(): GranaryError {
  return new GranaryError("USAGE", `the body stopped: no data for ${LIMITS.bodyIdleMs} ms`, {
    limit: LIMITS.bodyIdleMs,
    http_status: 408,
  });
}
