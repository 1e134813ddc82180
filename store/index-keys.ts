import type { Digest } from "../proto/digest.ts";

/**
 * Keys of the index: one letter for the kind of row, then what names it.
 * b digest: blob · c digest: crcs of a big blob · d digest: when GC condemned it · l digest: layer · m subtree encoder: memo · s id: segment · u id: lease · x: meta
 */
export const ROW = {
  blob: 0x62,
  crcs: 0x63,
  condemned: 0x64,
  layer: 0x6c,
  memo: 0x6d,
  segment: 0x73,
  lease: 0x75,
  meta: 0x78,
} as const;
type DigestRow = typeof ROW.blob | typeof ROW.crcs | typeof ROW.condemned | typeof ROW.layer;

export function digestKey(row: DigestRow, digest: Digest): Buffer {
  const key = Buffer.allocUnsafe(33);
  key[0] = row;
  key.write(digest.slice(7), 1, 32, "hex");
  return key;
}

export function memoKey(subtree: Digest, encoder: number): Buffer {
  const key = Buffer.allocUnsafe(35);
  key[0] = ROW.memo;
  key.write(subtree.slice(7), 1, 32, "hex");
  key.writeUInt16BE(encoder, 33);
  return key;
}

/** The range that holds a subtree's memos, one for each encoder. */
export function memosOf(subtree: Digest): { from: Buffer; to: Buffer } {
  return { from: memoKey(subtree, 0), to: keyAfter(memoKey(subtree, 0xffff)) };
}

export function segmentKey(id: number): Buffer {
  const key = Buffer.allocUnsafe(5);
  key[0] = ROW.segment;
  key.writeUInt32BE(id, 1);
  return key;
}

export function segmentIdOfKey(key: Buffer): number {
  return key.readUInt32BE(1);
}

export function leaseKey(id: string): Buffer {
  return Buffer.concat([Buffer.of(ROW.lease), Buffer.from(id)]);
}

export function leaseIdOfKey(key: Buffer): string {
  return key.subarray(1).toString();
}

export const META_KEY = Buffer.of(ROW.meta);

/** The range that holds all rows of one kind. */
export function rangeOf(row: number): { from: Buffer; to: Buffer } {
  return { from: Buffer.of(row), to: Buffer.of(row + 1) };
}

/** The smallest key behind `key`: where a paged scan goes on. */
export function keyAfter(key: Uint8Array): Buffer {
  return Buffer.concat([key, Buffer.of(0)]);
}
