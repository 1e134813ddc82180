import type { Digest } from "./digest.ts";

/**
 * What a worker thread hands to the committer: everything that has to become durable and visible together for one publish.
 * Plain data: it crosses two threads. `blobs` travels as one transferred buffer, not as objects (4,000 rows cost 0.1 ms
 * instead of 6 ms to clone).
 */
export interface CommitBatch {
  /** Segments that the batch appended to, with the offset behind its last record. */
  readonly segments: readonly { readonly id: number; readonly end: number }[];
  /** New packed blobs: rows of {@link BLOB_ROW_BYTES}. */
  readonly blobs: Uint8Array;
  /** New blobs larger than the pack limit: complete files in staging, not yet durable. */
  readonly bigFiles: readonly BigFile[];
  /** Layers that this batch computed. */
  readonly layers: readonly PlacedLayerRow[];
  /** Every digest that the batch relies on without having written it (32 bytes each): re-checked when the epoch moved. */
  readonly references: Uint8Array;
  /** Epoch of the index when the task began. */
  readonly epoch: number;
}

export interface BigFile {
  readonly digest: Digest;
  readonly size: number;
  /** Name inside the store's staging directory. */
  readonly stagingName: string;
  /** crc32 (little-endian u32) per MiB of content: range reads verify with it. */
  readonly crcs: Uint8Array;
}

/** A computed layer: its content follows from the subtree listing, which is a stored blob in canonical tree format. */
export interface LayerRow {
  readonly digest: Digest;
  readonly size: number;
  readonly encoder: number;
  readonly subtree: Digest;
}

/** A layer row and where its record lies in the batch's segment: it survives a rebuild of the index there. */
export interface PlacedLayerRow extends LayerRow {
  readonly segment: number;
  readonly offset: number;
}

/** digest (32) | segment (u32 LE) | offset of the record (u48 LE) | payload size (u32 LE). */
export const BLOB_ROW_BYTES = 32 + 4 + 6 + 4;
