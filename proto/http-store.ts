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
  /** Rows of the index, by their keys in hex: `granary store rebuild-index` makes them anew. */
  readonly broken_rows: number;
  readonly broken_row_keys: readonly string[];
  /** Segments that cannot be walked as far as content lies in them, and where the walk ends: a rebuilt index would lack what follows. */
  readonly broken_segments: number;
  readonly broken_segment_names: readonly string[];
  /** Segments, and counters of the whole store, whose accounts are not what the rows add up to. */
  readonly wrong_accounts: number;
  readonly wrong_account_names: readonly string[];
  /** Paths in materialized roots that are not as their trees have them: `org/project/tree/path`. */
  readonly broken_roots: number;
  readonly broken_root_paths: readonly string[];
  /** Files that nothing refers to. */
  readonly orphaned: number;
  readonly orphaned_files: readonly string[];
  /** Of a check with `?repair=true`: what was done about all that. */
  readonly repaired?: FsckRepairedJson;
}

export interface FsckRepairedJson {
  /** Content of which the packs held another, intact record. */
  readonly reindexed: number;
  /** Segments whose content was copied to new ones; garbage collection takes what is left of them. */
  readonly rewritten_segments: number;
  /** Files in quarantine now, and tails that were cut. */
  readonly removed: number;
  readonly removed_files: readonly string[];
  /** Content that is refused until it is published again. */
  readonly lost: number;
  readonly lost_digests: readonly string[];
  /** What names it, as `GET /v1/store/why/{digest}` tells, for the first {@link FSCK_REFERENCES_MAX} of them. */
  readonly lost_references: readonly StoreWhyJson[];
  /** Accounts that were set right. */
  readonly corrected_accounts: number;
  /** Roots that were made anew, and those that could not be: what they need of the store is lost. */
  readonly remade_roots: number;
  readonly failed_roots: readonly string[];
  /** Rows of the index are broken: stop the farm and run `granary store rebuild-index`. */
  readonly needs_rebuild: boolean;
}

/** `POST /v1/store:heal`: what kept releases, living previews and logs name and the store does not have. */
export interface StoreHealJson {
  readonly lost: number;
  /** {@link LIMITS.lostDigests} at most; `PUT /v1/store/blobs/{digest}` takes each of them. */
  readonly lost_digests: readonly string[];
}

/** `PUT /v1/store/blobs/{digest}`. */
export interface StoreBlobJson {
  readonly digest: string;
  readonly size: number;
  /** It was there already. */
  readonly existing: boolean;
}

/** Of `granary store fsck --repair --from CONTEXT`: what came from the other farm. */
export interface HealedJson {
  /** Url of the other farm. */
  readonly from: string;
  readonly healed: number;
  readonly healed_bytes: number;
  readonly healed_digests: readonly string[];
  /** Lost here and not to be had there. */
  readonly not_there: number;
  readonly not_there_digests: readonly string[];
}

/** Each costs a look into the listings of many releases. */
export const FSCK_REFERENCES_MAX = 20;

export const FSCK_NAMES_MAX = 1_000;

/** `POST /v1/store:gc`. Bytes are exact, as on disk. */
export interface GcJson {
  /** Of a dry run: what could be had back at once. */
  readonly reclaimable_bytes?: number;
  /** What the disk got back. */
  readonly reclaimed_bytes?: number;
  /** Deleted; of a dry run: without a reference. */
  readonly blobs: number;
  /** Deleted or compacted. */
  readonly segments: number;
  /** Content without a reference that is still there: its undo period is not over, or somebody reads it. */
  readonly waiting_blobs: number;
  readonly waiting_bytes: number;
  /** After a run: what is dead in segments that were not worth a copy, or are written to. */
  readonly dead_bytes?: number;
  /** Listings that are lost, and what names them: each has to be published again, or retired. Absent when there are none. */
  readonly damaged?: readonly DamagedListingJson[];
  /** Content that nothing else names and that they, or a damaged upload session, may name: it stays. */
  readonly held_back_blobs?: number;
  readonly held_back_bytes?: number;
  readonly duration_ms: number;
}

export interface DamagedListingJson {
  readonly digest: string;
  readonly references: readonly { readonly org: string; readonly project: string; readonly ref: string }[];
}

/** The last garbage collection of a node, in `GET /v1/store`. */
export interface GcRunJson extends Partial<GcJson> {
  readonly at: string;
  /** Asked for; due; the store was larger than its budget. */
  readonly cause: "request" | "age" | "budget";
  /** Code, when it failed. */
  readonly error?: string;
}

/** `GET /v1/store`. */
export interface StoreJson {
  readonly blobs: number;
  readonly layers: number;
  readonly packed_bytes: number;
  readonly big_files: number;
  readonly segments: number;
  /** Refused until they are published again; `POST /v1/store:fsck` names them and what needs them. */
  readonly damaged_blobs: number;
  /** In segments, of content that is no more. */
  readonly dead_bytes: number;
  readonly inbox_bytes: number;
  readonly disk_bytes: number;
  /** null: none is set. */
  readonly budget_bytes: number | null;
  readonly last_gc: GcRunJson | null;
  readonly scrub: ScrubJson;
}

/** Where the background check of the store is, in `GET /v1/store`. */
export interface ScrubJson {
  readonly state: "off" | "waiting" | "running";
  readonly rate_bytes: number | null;
  /** The pass under way, from its beginning on, restarts included. */
  readonly pass: (ScrubPassJson & { readonly progress: number }) | null;
  /** The last whole one. */
  readonly last: (ScrubPassJson & { readonly ended_at: string }) | null;
}

export interface ScrubPassJson {
  readonly started_at: string;
  readonly checked: number;
  readonly bytes: number;
  readonly found: {
    readonly corrupt: number;
    readonly missing: number;
    readonly misframed: number;
    readonly broken_rows: number;
    readonly broken_segments: number;
    readonly wrong_accounts: number;
    readonly broken_roots: number;
  };
}

/** `GET /v1/store/why/{digest}`. */
export interface StoreWhyJson {
  readonly digest: string;
  /** null: the store does not have it, or it counts as absent. */
  readonly stored: { readonly kind: string; readonly size: number } | null;
  /** Counts as absent: nothing named it at the last look. It comes back when it is named or published again before it is deleted. */
  readonly condemned?: {
    readonly at: string;
    /** When automatic collection may delete it; `store gc` without `--grace` does at once. */
    readonly undo_until: string;
  };
  /** Counts as absent: its bytes are not those of the digest. Publishing it again heals it. */
  readonly damaged?: true;
  readonly references: readonly StoreWhyReferenceJson[];
  /** There may be more. */
  readonly truncated: boolean;
}

export interface StoreWhyReferenceJson {
  readonly org: string;
  readonly project: string;
  /** `v3` or `preview/NAME`; of a log the id of its publish; of a publish that has not ended its id, of an upload session its id. */
  readonly ref: string;
  readonly as:
    | "manifest"
    | "config"
    | "tree"
    | "layer"
    | "layer listing"
    | "file"
    | "log"
    | "publish"
    | "upload session";
  /** Of a file: the first path that has it. */
  readonly path?: string;
}
