import { type LayerPiece, layerPieces } from "../proto/layers.ts";
import type { TreeEntry } from "../proto/tree.ts";
import { entryOf, firstLine, lineAt, treeEntries } from "../proto/tree-lines.ts";
import { inTurns } from "./turns.ts";

/**
 * Where in a layer each file's content begins, so that a range read starts there instead of at the beginning: 12 bytes a file beside
 * the listing's own bytes, of which entries are made as they are needed.
 */
export class LayerMap {
  readonly #listing: Buffer;
  /** Per non-empty file, ascending: the layer offset of its content, and its line in the listing. */
  readonly #offsets: Float64Array;
  readonly #lines: Uint32Array;
  readonly size: number;

  private constructor(map: { listing: Buffer; offsets: Float64Array; lines: Uint32Array; size: number }) {
    this.#listing = map.listing;
    this.#offsets = map.offsets;
    this.#lines = map.lines;
    this.size = map.size;
  }

  /** @throws GranaryError STORE_CORRUPT when the bytes are no listing */
  static async build(listing: Buffer): Promise<LayerMap> {
    const lines: number[] = [];
    const offsets: number[] = [];
    let size = 0;
    await inTurns(layerPieces(noteFiles(listing, lines)), (piece) => {
      if (piece.kind === "blob") offsets.push(size);
      size += piece.kind === "blob" ? piece.size : piece.bytes.byteLength;
    });
    return new LayerMap({
      listing,
      offsets: Float64Array.from(offsets),
      lines: Uint32Array.from(lines),
      size,
    });
  }

  /** Bytes of memory. */
  get weight(): number {
    return this.#listing.byteLength + this.#offsets.byteLength + this.#lines.byteLength;
  }

  /** The pieces from the last content at or before `offset` on, and the offset of the first of them. */
  from(offset: number): { start: number; pieces: Iterable<LayerPiece> } {
    const file = this.#lastFileAt(offset);
    if (file < 0) return { start: 0, pieces: layerPieces(treeEntries(this.#listing)) };
    const tail = treeEntries(this.#listing, this.#lines[file]);
    return { start: this.#offsets[file] ?? 0, pieces: fromFirstBlob(layerPieces(tail)) };
  }

  #lastFileAt(offset: number): number {
    let low = 0;
    let high = this.#offsets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#offsets[middle] ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/** The entries of a listing; `lines` gets the lines of those that have content. */
function* noteFiles(listing: Buffer, lines: number[]): Generator<TreeEntry, void, undefined> {
  for (let start = firstLine(listing); start < listing.byteLength; ) {
    const line = lineAt(listing, start);
    const entry = entryOf(listing, line);
    if (entry.type === "file" && entry.size > 0) lines.push(start);
    yield entry;
    start = line.end + 1;
  }
}

/**
 * A layer that is begun at a file lists that file's parents again; from the file's content on it is the same as the whole layer,
 * because what follows depends on the entry before only.
 */
function* fromFirstBlob(pieces: Iterable<LayerPiece>): Generator<LayerPiece, void, undefined> {
  let begun = false;
  for (const piece of pieces) {
    begun ||= piece.kind === "blob";
    if (begun) yield piece;
  }
}
