import type { LayerRow } from "../proto/commit-batch.ts";
import type { Digest } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import type { IndexReader } from "./index-db.ts";
import {
  digestKey,
  leaseIdOfKey,
  leaseKey,
  META_KEY,
  memoKey,
  memosOf,
  ROW,
  rangeOf,
  segmentIdOfKey,
  segmentKey,
} from "./index-keys.ts";
import * as rows from "./index-rows.ts";

/** Typed reads of the index. Each throws STORE_CORRUPT on a damaged row. */
export class IndexView {
  readonly #index: IndexReader;

  constructor(index: IndexReader) {
    this.#index = index;
  }

  meta(): rows.MetaRow {
    const meta = this.findMeta();
    if (meta === undefined) throw new GranaryError("STORE_CORRUPT", "the index has no meta row; rebuild it");
    return meta;
  }

  findMeta(): rows.MetaRow | undefined {
    return this.#decode(META_KEY, rows.decodeMeta);
  }

  blob(digest: Digest): rows.BlobRow | undefined {
    return this.#decode(digestKey(ROW.blob, digest), rows.decodeBlobRow);
  }

  /** The blob if it may be served. */
  liveBlob(digest: Digest): rows.BlobRow | undefined {
    const row = this.blob(digest);
    return row?.state === rows.BLOB_STATE.live ? row : undefined;
  }

  condemned(digest: Digest): rows.CondemnedRow | undefined {
    return this.#decode(digestKey(ROW.condemned, digest), rows.decodeCondemned);
  }

  crcs(digest: Digest): Uint8Array | undefined {
    return this.#decode(digestKey(ROW.crcs, digest), rows.decodeCrcs);
  }

  layer(digest: Digest): (LayerRow & rows.LayerValue) | undefined {
    const value = this.#decode(digestKey(ROW.layer, digest), rows.decodeLayerRow);
    return value === undefined ? undefined : { ...value, digest };
  }

  memo(subtree: Digest, encoder: number): { digest: Digest; size: number } | undefined {
    return this.#decode(memoKey(subtree, encoder), rows.decodeMemo);
  }

  /** The layers that are computed from a listing, and go with it. */
  layersOf(subtree: Digest): (LayerRow & rows.LayerValue)[] {
    return this.#index
      .rows({ ...memosOf(subtree), limit: Number.MAX_SAFE_INTEGER })
      .flatMap(({ key, value }) => {
        const layer = this.layer(rows.decodeMemo(key, value).digest);
        return layer?.subtree === subtree ? [layer] : [];
      });
  }

  segment(id: number): rows.SegmentRow | undefined {
    return this.#decode(segmentKey(id), rows.decodeSegmentRow);
  }

  /** All segments; there are few (one per 256 MiB and per thread start). */
  segments(): Map<number, rows.SegmentRow> {
    const found = new Map<number, rows.SegmentRow>();
    for (const { key, value } of this.#index.rows({
      ...rangeOf(ROW.segment),
      limit: Number.MAX_SAFE_INTEGER,
    })) {
      found.set(segmentIdOfKey(key), rows.decodeSegmentRow(key, value));
    }
    return found;
  }

  leaseUntilMs(id: string): number | undefined {
    return this.#decode(leaseKey(id), rows.decodeLease);
  }

  leases(): { id: string; untilMs: number }[] {
    return this.#index
      .rows({ ...rangeOf(ROW.lease), limit: Number.MAX_SAFE_INTEGER })
      .map(({ key, value }) => ({ id: leaseIdOfKey(key), untilMs: rows.decodeLease(key, value) }));
  }

  #decode<T>(key: Uint8Array, decode: (key: Uint8Array, value: Uint8Array) => T): T | undefined {
    const value = this.#index.get(key);
    return value === undefined ? undefined : decode(key, value);
  }
}
