import { BLOB_ROW_BYTES, type CommitBatch } from "../proto/commit-batch.ts";
import { type Digest, digestBytes } from "../proto/digest.ts";
import { DigestTable } from "./digest-table.ts";

/**
 * What GC must not condemn though no root may name it yet: what batches brought and relied on, from their commit until the lease under
 * which they were committed ends, and everything that was committed since a run began to look. Lost with the process, and so is
 * the need: a publish whose end was not recorded runs again.
 */
export class KeptContent {
  /** Digests, 32 bytes each, by lease. */
  readonly #held = new Map<string, Uint8Array>();
  #watched: DigestTable | undefined;

  committed(batch: CommitBatch, heldBy: string | undefined): void {
    if (heldBy === undefined && this.#watched === undefined) return;
    const digests = digestsOf(batch);
    if (heldBy !== undefined) this.#held.set(heldBy, digests);
    this.#watch(digests);
  }

  /** What was held is still kept until the present run of GC is over: its roots may have been read before. */
  released(lease: string): void {
    this.#held.delete(lease);
  }

  /** Leases under which batches with a digest are held. */
  holdersOf(digest: Digest): string[] {
    const bytes = Buffer.from(digestBytes(digest));
    return [...this.#held].flatMap(([lease, digests]) => {
      const all = Buffer.from(digests.buffer, digests.byteOffset, digests.byteLength);
      let at = all.indexOf(bytes);
      // A match across two digests is none.
      while (at >= 0 && at % 32 !== 0) at = all.indexOf(bytes, at + 1);
      return at < 0 ? [] : [lease];
    });
  }

  /** GC begins to look: from now on commits are watched. */
  watch(): void {
    this.#watched = new DigestTable();
    for (const digests of this.#held.values()) this.#watch(digests);
  }

  unwatch(): void {
    this.#watched = undefined;
  }

  /** @param bytes a digest at `at` @throws RangeError when nothing is watched */
  has(bytes: Uint8Array, at: number): boolean {
    if (this.#watched === undefined) throw new RangeError("GC has not begun");
    return this.#watched.find(bytes, at) !== undefined;
  }

  #watch(digests: Uint8Array): void {
    const watched = this.#watched;
    if (watched === undefined) return;
    for (let at = 0; at < digests.byteLength; at += 32)
      if (watched.find(digests, at) === undefined) watched.add(digests, at, 1);
  }
}

function digestsOf({ blobs, bigFiles, references }: CommitBatch): Uint8Array {
  const count = blobs.byteLength / BLOB_ROW_BYTES + bigFiles.length;
  const digests = new Uint8Array(references.byteLength + count * 32);
  digests.set(references, 0);
  let end = references.byteLength;
  for (let at = 0; at < blobs.byteLength; at += BLOB_ROW_BYTES, end += 32)
    digests.set(blobs.subarray(at, at + 32), end);
  for (const { digest } of bigFiles) {
    digests.set(digestBytes(digest), end);
    end += 32;
  }
  return digests;
}
