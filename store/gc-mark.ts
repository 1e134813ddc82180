import fs from "node:fs";
import { type Digest, digestBytes, digestFromBytes } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import { parseTree } from "../proto/tree.ts";
import { parseSessionFile, publishIdOf } from "../proto/upload-session.ts";
import { BlobReader } from "./blob-reader.ts";
import { ByteList } from "./byte-list.ts";
import { DigestTable } from "./digest-table.ts";
import { eachRow } from "./each-row.ts";
import { ifPresent, type StoreFs } from "./fs.ts";
import { countGone, type GoneBytes } from "./gone-bytes.ts";
import type { IndexReader } from "./index-db.ts";
import { ROW } from "./index-keys.ts";
import { BLOB_STATE, type BlobRow, decodeBlobRow } from "./index-rows.ts";
import { IndexView } from "./index-view.ts";
import { RECORD_OVERHEAD_BYTES } from "./pack-format.ts";
import type { StorePaths } from "./store-paths.ts";

/** Roots as bytes: kind (1), digest (32). */
export const ROOT_BYTES = 33;
export const ROOT_KIND = { tree: 1, layer: 2, blob: 3 } as const;

/** Content as on disk: whole records and big files. */
export interface BytesOf {
  readonly blobs: number;
  readonly bytes: number;
}

export interface MarkResult {
  readonly kept: BytesOf;
  /** Digests, 32 bytes each: live or damaged, and named by nothing. */
  readonly unnamed: Uint8Array;
  /** Condemned, and named again. */
  readonly named: Uint8Array;
  /** Condemned already, and named by nothing. */
  readonly condemned: BytesOf;
  /** The part of {@link MarkResult.condemned} that a run of now could delete. */
  readonly due: BytesOf;
  /** Of {@link MarkResult.condemned}, where that was asked for. */
  readonly gone: GoneBytes;
  /** Listings and layers that could not be read: what they name is not known. */
  readonly damaged: readonly Digest[];
  /** Upload sessions of which the same is true. */
  readonly damagedSessions: readonly string[];
}

interface MarkOptions {
  readonly paths: StorePaths;
  readonly fs: StoreFs;
  readonly index: IndexReader;
  /** {@link ROOT_BYTES} each. */
  readonly roots: Uint8Array;
  /** Condemned until then is due. */
  readonly untilMs: number;
  /** Whether it is wanted what the disk would get back. */
  readonly foretell: boolean;
}

/**
 * Finds out what may go: everything in the index that is named by no root, by no listing that a root names, and by no upload session.
 * Changes nothing. Where a listing could not be read, what it names may be among the unnamed.
 * @throws GranaryError STORE_IO
 */
export function mark(options: MarkOptions): MarkResult {
  options.index.refresh();
  const marker = new Marker(options);
  try {
    marker.roots();
    marker.sessions();
    return marker.sweep();
  } finally {
    marker.close();
  }
}

/** What roots name and the store does not have. */
export interface Absent {
  readonly blobs: readonly Digest[];
  /** Layers that cannot be computed: their row is lost, or their listing. */
  readonly layers: readonly Digest[];
}

/** Finds what is named by a root, or by a listing that a root names, and is damaged or not there. @throws GranaryError STORE_* */
export function absentContent(options: Omit<MarkOptions, "untilMs" | "foretell">): Absent {
  options.index.refresh();
  const marker = new Marker({ ...options, untilMs: 0, foretell: false });
  try {
    marker.roots();
    return marker.absent();
  } finally {
    marker.close();
  }
}

class Marker {
  readonly #options: MarkOptions;
  readonly #view: IndexView;
  readonly #reader: BlobReader;
  readonly #marked = new DigestTable();
  readonly #listings = new Set<Digest>();
  readonly #damaged = new Set<Digest>();
  readonly #damagedSessions: string[] = [];

  constructor(options: MarkOptions) {
    this.#options = options;
    this.#view = new IndexView(options.index);
    this.#reader = new BlobReader(options);
  }

  roots(): void {
    const { roots } = this.#options;
    for (let at = 0; at < roots.byteLength; at += ROOT_BYTES) {
      const digest = digestFromBytes(roots.subarray(at + 1, at + ROOT_BYTES));
      const kind = roots[at];
      if (kind === ROOT_KIND.tree) this.#listing(digest);
      else if (kind === ROOT_KIND.layer) this.#layer(digest);
      else this.#mark(digest);
    }
  }

  absent(): Absent {
    const blobs = new Set<Digest>();
    for (const bytes of this.#marked.digests()) {
      const digest = digestFromBytes(bytes);
      const row = this.#view.blob(digest);
      // Condemned is not gone: the next run of GC revives it.
      if (row === undefined || row.state === BLOB_STATE.damaged) blobs.add(digest);
    }
    const layers: Digest[] = [];
    for (const digest of this.#damaged) {
      if (this.#marked.find(digestBytes(digest), 0) === undefined) layers.push(digest);
      else blobs.add(digest);
    }
    return { blobs: [...blobs], layers };
  }

  /** What the answer to a plan called present stays for as long as the session may be committed. */
  sessions(): void {
    const { paths } = this.#options;
    for (const name of fs.readdirSync(paths.inbox)) {
      if (publishIdOf(name) === undefined) continue;
      const bytes = ifPresent(() => fs.readFileSync(paths.upload(name)));
      if (bytes === undefined) continue;
      try {
        this.#entries(parseSessionFile(bytes).listing);
      } catch {
        this.#damagedSessions.push(name);
      }
    }
  }

  /** Compares every row of a blob with the marks. */
  sweep(): MarkResult {
    const kept = tally();
    const condemned = tally();
    const due = tally();
    const gone: GoneBytes = new Map();
    const unnamed = new ByteList(1024 * 32);
    const named = new ByteList(1024 * 32);
    eachRow(this.#options.index, ROW.blob, (key, value) => {
      const row = decodeBlobRow(key, value);
      const isCondemned = row.state === BLOB_STATE.condemned;
      if (this.#marked.find(key, 1) !== undefined) {
        count(kept, row);
        if (isCondemned) push(named, key);
      } else if (isCondemned) {
        count(condemned, row);
        if (this.#options.foretell)
          countGone(gone, this.#view, { digest: digestFromBytes(key.subarray(1)), row });
        if (this.#isDue(key)) count(due, row);
      } else push(unnamed, key);
    });
    return {
      kept,
      condemned,
      due,
      gone,
      unnamed: unnamed.take(),
      named: named.take(),
      damaged: [...this.#damaged],
      damagedSessions: this.#damagedSessions,
    };
  }

  #isDue(key: Buffer): boolean {
    const condemned = this.#view.condemned(digestFromBytes(key.subarray(1)));
    return condemned !== undefined && condemned.atMs <= this.#options.untilMs;
  }

  close(): void {
    this.#reader.close();
  }

  /** A layer that is computed, or a stored one, which is a blob. */
  #layer(digest: Digest): void {
    const layer = this.#view.layer(digest);
    if (layer !== undefined) this.#listing(layer.subtree);
    else if (this.#view.blob(digest) !== undefined) this.#mark(digest);
    else this.#damaged.add(digest);
  }

  #listing(digest: Digest): void {
    if (this.#listings.has(digest)) return;
    this.#listings.add(digest);
    this.#mark(digest);
    const row = this.#view.blob(digest);
    // Condemned is not gone: it is about to be revived.
    const isThere = row !== undefined && row.state !== BLOB_STATE.damaged;
    try {
      if (isThere) this.#entries(this.#reader.read(digest, row));
      else this.#damaged.add(digest);
    } catch (error) {
      // A disk that does not answer now may do so later.
      if (error instanceof GranaryError && error.code === "STORE_IO") throw error;
      this.#damaged.add(digest);
    }
  }

  #entries(listing: Buffer): void {
    for (const entry of parseTree(listing)) if (entry.type === "file") this.#mark(entry.digest);
  }

  #mark(digest: Digest): void {
    const bytes = digestBytes(digest);
    if (this.#marked.find(bytes, 0) === undefined) this.#marked.add(bytes, 0, 1);
  }
}

function tally(): { blobs: number; bytes: number } {
  return { blobs: 0, bytes: 0 };
}

function count(into: { blobs: number; bytes: number }, row: BlobRow): void {
  into.blobs += 1;
  into.bytes += row.kind === "packed" ? row.size + RECORD_OVERHEAD_BYTES : row.size;
}

function push(list: ByteList, key: Uint8Array): void {
  const { bytes, at } = list.extend(32);
  bytes.set(key.subarray(1, 33), at);
}
