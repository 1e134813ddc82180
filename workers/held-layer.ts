import { entryPieces, LAYER_END, paddingOf } from "../proto/layers.ts";
import type { FileEntry } from "../proto/listing.ts";
import { comparePaths, type TreeEntry } from "../proto/tree.ts";

/** A layer's bytes, as a thread remembers them to make the next layer of the same part from. */
export interface HeldLayer {
  readonly entries: readonly TreeEntry[];
  /** Where each entry's bytes begin, and behind them where the layer's end mark does. */
  readonly starts: Uint32Array;
  readonly bytes: Buffer;
}

/** A layer to be built, and what of it is already in memory. */
export interface LayerPlan {
  readonly entries: readonly TreeEntry[];
  readonly twin: HeldLayer | undefined;
  /** For each entry the one of `twin` with the same bytes, or -1. */
  readonly inTwin: Int32Array;
}

const HEADER_BYTES = 512;
/** For directories and long names; where they need more the buffer grows. */
const SPARE_BYTES = 16 * 1024;

/** Where layers get their memory from. */
interface Buffers {
  /** A buffer of at least that many bytes. */
  take(bytes: number): Buffer;
  giveBack(buffer: Buffer): void;
}

/**
 * Finds what a layer shares with `twin`. An entry has the same bytes when it is equal and the one before it has the same path
 * ({@link entryPieces}): the content and mode of its neighbours do not matter.
 */
export function planLayer(entries: readonly TreeEntry[], twin: HeldLayer | undefined): LayerPlan {
  const inTwin = new Int32Array(entries.length).fill(-1);
  const others = twin?.entries ?? [];
  let k = 0;
  entries.forEach((entry, i) => {
    for (; k < others.length; k++) {
      const other = others[k] as TreeEntry;
      if (other === entry) break;
      const order = comparePaths(other.path, entry.path);
      if (order > 0 || (order === 0 && !areEqual(other, entry))) return;
      if (order === 0) break;
    }
    if (k < others.length && entries[i - 1]?.path === others[k - 1]?.path) inTwin[i] = k;
  });
  return { entries, twin, inTwin };
}

/** The files whose contents have to be brought. */
export function freshFiles({ entries, inTwin }: LayerPlan): FileEntry[] {
  return entries.filter((entry, i): entry is FileEntry => entry.type === "file" && inTwin[i] === -1);
}

/** @param copyBlob writes a content where it is told */
export function buildLayer(
  { entries, twin, inTwin }: LayerPlan,
  buffers: Buffers,
  copyBlob: (blob: { digest: FileEntry["digest"]; size: number }, into: Uint8Array, at: number) => void,
): HeldLayer {
  const starts = new Uint32Array(entries.length + 1);
  const out = new GrowingBuffer(roughSize(entries) + SPARE_BYTES, buffers);
  for (let i = 0; i < entries.length; ) {
    const first = inTwin[i] ?? -1;
    if (twin === undefined || first < 0) {
      starts[i] = out.size;
      for (const piece of entryPieces(entries[i] as TreeEntry, entries[i - 1]?.path)) {
        if (piece.kind === "bytes") out.add(piece.bytes);
        else copyBlob(piece, ...out.room(piece.size));
      }
      i += 1;
      continue;
    }
    let last = first;
    const shift = out.size - startOf(twin, first);
    for (; last - first < entries.length - i && inTwin[i + last - first] === last; last++)
      starts[i + last - first] = startOf(twin, last) + shift;
    out.add(twin.bytes.subarray(startOf(twin, first), startOf(twin, last)));
    i += last - first;
  }
  starts[entries.length] = out.size;
  out.add(LAYER_END);
  return { entries, starts, bytes: out.bytes() };
}

/** The content of the i-th entry, which is a file. */
export function contentOf({ entries, starts, bytes }: HeldLayer, i: number): Buffer {
  const { size } = entries[i] as FileEntry;
  const end = (starts[i + 1] ?? 0) - paddingOf(size);
  return bytes.subarray(end - size, end);
}

/** What a layer of these entries takes, without directories and names of more than a header. */
export function roughSize(entries: readonly TreeEntry[]): number {
  let bytes = LAYER_END.byteLength;
  for (const entry of entries)
    bytes += HEADER_BYTES + (entry.type === "file" ? entry.size + paddingOf(entry.size) : 0);
  return bytes;
}

function startOf({ starts }: HeldLayer, i: number): number {
  return starts[i] ?? 0;
}

function areEqual(a: TreeEntry, b: TreeEntry): boolean {
  if (a.type === "file" && b.type === "file")
    return a.digest === b.digest && a.executable === b.executable && a.size === b.size;
  return a.type === b.type && (a.type !== "symlink" || b.type !== "symlink" || a.target === b.target);
}

class GrowingBuffer {
  readonly #buffers: Buffers;
  #buffer: Buffer;
  size = 0;

  constructor(bytes: number, buffers: Buffers) {
    this.#buffers = buffers;
    this.#buffer = buffers.take(bytes);
  }

  add(piece: Uint8Array): void {
    const [into, at] = this.room(piece.byteLength);
    into.set(piece, at);
  }

  /** Takes that many bytes; answers where. */
  room(bytes: number): [Buffer, number] {
    const at = this.size;
    this.size += bytes;
    if (this.size > this.#buffer.byteLength) {
      const small = this.#buffer;
      this.#buffer = this.#buffers.take(this.size + (this.size >>> 2));
      this.#buffer.set(small.subarray(0, at));
      this.#buffers.giveBack(small);
    }
    return [this.#buffer, at];
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.size);
  }
}
