import { setImmediate } from "node:timers/promises";
import { type LayerPiece, layerPieces } from "../proto/layers.ts";
import type { TreeEntry } from "../proto/tree.ts";

/** Pieces between two turns of the event loop: 4,096 take 4-8 ms. */
const PIECES_PER_TURN = 4096;

/**
 * Where in a layer each file's content begins, so that a range read starts there instead of at the beginning: 12 bytes a file.
 */
export class LayerMap {
  readonly #entries: readonly TreeEntry[];
  /** Per non-empty file, ascending: the layer offset of its content, and its entry. */
  readonly #offsets: Float64Array;
  readonly #entryIndexes: Int32Array;
  readonly size: number;

  private constructor(map: {
    entries: readonly TreeEntry[];
    offsets: Float64Array;
    entryIndexes: Int32Array;
    size: number;
  }) {
    this.#entries = map.entries;
    this.#offsets = map.offsets;
    this.#entryIndexes = map.entryIndexes;
    this.size = map.size;
  }

  static async build(entries: readonly TreeEntry[]): Promise<LayerMap> {
    const files = entries.flatMap((entry, index) => (entry.type === "file" && entry.size > 0 ? [index] : []));
    const offsets = new Float64Array(files.length);
    let size = 0;
    let blobs = 0;
    let pieces = 0;
    for (const piece of layerPieces(entries)) {
      if (piece.kind === "blob") offsets[blobs++] = size;
      size += piece.kind === "blob" ? piece.size : piece.bytes.byteLength;
      if (++pieces % PIECES_PER_TURN === 0) await setImmediate();
    }
    return new LayerMap({ entries, offsets, entryIndexes: Int32Array.from(files), size });
  }

  get weight(): number {
    return this.#entries.length;
  }

  /** The pieces from the last content at or before `offset` on, and the offset of the first of them. */
  from(offset: number): { start: number; pieces: Iterable<LayerPiece> } {
    const file = this.#lastFileAt(offset);
    if (file < 0) return { start: 0, pieces: layerPieces(this.#entries) };
    const tail = this.#entries.slice(this.#entryIndexes[file] ?? 0);
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
