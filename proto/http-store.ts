/** Shapes of the HTTP API about the store, as `proto/http.ts` has those about releases. */

/** `POST /v1/store:fsck`; lists are cut at {@link FSCK_NAMES_MAX}, counts are whole. */
export interface FsckJson {
  readonly checked: number;
  readonly checked_bytes: number;
  /** Content that does not match its digest. */
  readonly corrupt: number;
  readonly corrupt_digests: readonly string[];
  /** Content that the index knows and the disk does not hold. */
  readonly missing: number;
  readonly missing_digests: readonly string[];
  /** Content that is right in a damaged record: served, but a rebuilt index would lack it. */
  readonly misframed: number;
  readonly misframed_digests: readonly string[];
  /** Files that nothing refers to. */
  readonly orphaned: number;
  readonly orphaned_files: readonly string[];
}

export const FSCK_NAMES_MAX = 1_000;

/** `GET /v1/store/why/{digest}`. */
export interface StoreWhyJson {
  readonly digest: string;
  /** null: the store does not have it. */
  readonly stored: { readonly kind: string; readonly size: number } | null;
  readonly references: readonly StoreWhyReferenceJson[];
  /** There may be more. */
  readonly truncated: boolean;
}

export interface StoreWhyReferenceJson {
  readonly org: string;
  readonly project: string;
  /** `v3` or `preview/NAME`. */
  readonly ref: string;
  readonly as: "manifest" | "config" | "tree" | "layer" | "layer listing" | "file";
  /** Of a file: the first path that has it. */
  readonly path?: string;
}
