import { hash } from "node:crypto";
import { crc32 } from "node:zlib";
import { type Digest, digestHex } from "../proto/digest.ts";
import { readU32 } from "./little-endian.ts";
import { decodeRecordHeader, RECORD_HEADER_BYTES, RECORD_KIND, RECORD_TRAILER_BYTES } from "./pack-format.ts";

/**
 * intact: everything fits. framing: the payload is right, but header or trailer are damaged: readable as long as there is an
 * index, lost to a rebuild. corrupt: the payload is not that of the digest.
 */
export type RecordVerdict = "intact" | "framing" | "corrupt";

interface Expected {
  readonly digest: Digest;
  readonly size: number;
  readonly nonce: Uint8Array;
  /** crc: enough for a part of a stream that is hashed as a whole, and for ranges. */
  readonly by: "sha256" | "crc";
  /** Of which kind the record has to be; a blob unless it is said. */
  readonly kind?: number;
}

/** Judges the whole bytes of one record. */
export function checkRecord(record: Uint8Array, expected: Expected): RecordVerdict {
  const payloadEnd = RECORD_HEADER_BYTES + expected.size;
  if (record.byteLength < payloadEnd) return "corrupt";
  const framing = framingFits(record, expected) && crcFits(record, payloadEnd);
  if (framing && expected.by === "crc") return "intact";
  const payload = record.subarray(RECORD_HEADER_BYTES, payloadEnd);
  if (hash("sha256", payload, "hex") !== digestHex(expected.digest)) return "corrupt";
  return framing ? "intact" : "framing";
}

function framingFits(
  record: Uint8Array,
  { digest, size, nonce, kind = RECORD_KIND.blob }: Expected,
): boolean {
  const payloadEnd = RECORD_HEADER_BYTES + size;
  if (record.byteLength < payloadEnd + RECORD_TRAILER_BYTES) return false;
  const header = decodeRecordHeader(record, 0, nonce);
  if (header?.kind !== kind || header.payloadBytes !== size) return false;
  return Buffer.from(record.buffer, record.byteOffset + payloadEnd, 32).toString("hex") === digestHex(digest);
}

function crcFits(record: Uint8Array, payloadEnd: number): boolean {
  return readU32(record, payloadEnd + 32) === crc32(record.subarray(RECORD_HEADER_BYTES, payloadEnd));
}
