import type { Digest } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import type { LayerPiece } from "../proto/layers.ts";
import { LIMITS } from "../proto/limits.ts";
import { corrupt } from "./blob-reader.ts";
import type { ContentReader, PackedBlob } from "./content-reader.ts";
import { nextTurn } from "./turns.ts";

/** Layer bytes that are assembled at once: bounds memory, and lets neighbouring blobs be fetched in one read. */
const WINDOW_BYTES = 1024 * 1024;
/** ... and pieces: headers and look-ups of 1,000 small files take 5 ms, in a turn of the event loop of their own. */
const WINDOW_PIECES = 1_024;
/** Foreign bytes between two blobs that are read along rather than fetching twice (a read costs 25 us off the event loop). */
const GAP_BYTES = 64 * 1024;
const RUN_BYTES = 2 * LIMITS.packedBlobBytes;
const READS_AT_ONCE = 4;

/** The part `from`..`to` of a piece. */
interface Slice {
  readonly piece: LayerPiece;
  readonly from: number;
  readonly to: number;
}

/** The bytes `start`..`end` of what the pieces make up, where the first piece begins at `piecesStart`. Verified per blob by crc. */
export async function* layerBytes(
  reader: ContentReader,
  layer: WantedBytes,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield* readWindows(reader, layer);
  } catch (error) {
    // Somebody else has just found it damaged: the layer is there, but cannot be read.
    if (!(error instanceof GranaryError) || error.code !== "BLOB_UNKNOWN") throw error;
    throw corrupt(error.detail["digest"] as Digest, "it is part of a layer, but gone or damaged");
  }
}

interface WantedBytes {
  readonly pieces: Iterable<LayerPiece>;
  readonly piecesStart: number;
  readonly start: number;
  readonly end: number;
}

async function* readWindows(
  reader: ContentReader,
  layer: WantedBytes,
): AsyncGenerator<Buffer, void, undefined> {
  let window: Slice[] = [];
  let windowBytes = 0;
  await nextTurn();
  for (const slice of slices(layer)) {
    const { piece } = slice;
    if (piece.kind === "blob" && piece.size > LIMITS.packedBlobBytes) {
      if (windowBytes > 0) yield await assemble(reader, window, windowBytes);
      window = [];
      windowBytes = 0;
      yield* reader.big(piece.digest, { size: piece.size, start: slice.from, end: slice.to });
      continue;
    }
    window.push(slice);
    windowBytes += slice.to - slice.from;
    if (windowBytes < WINDOW_BYTES && window.length < WINDOW_PIECES) continue;
    yield await assemble(reader, window, windowBytes);
    window = [];
    windowBytes = 0;
    await nextTurn();
  }
  if (windowBytes > 0) yield await assemble(reader, window, windowBytes);
}

function* slices(layer: WantedBytes): Generator<Slice> {
  let at = layer.piecesStart;
  for (const piece of layer.pieces) {
    if (at >= layer.end) return;
    const size = piece.kind === "blob" ? piece.size : piece.bytes.byteLength;
    const from = Math.max(0, layer.start - at);
    const to = Math.min(size, layer.end - at);
    if (from < to) yield { piece, from, to };
    at += size;
  }
}

async function assemble(reader: ContentReader, window: readonly Slice[], bytes: number): Promise<Buffer> {
  const contents = await readBlobs(reader, window);
  const out = Buffer.allocUnsafeSlow(bytes);
  let at = 0;
  let blob = 0;
  for (const { piece, from, to } of window) {
    const source = piece.kind === "blob" ? contents[blob++] : piece.bytes;
    if (source === undefined) throw new RangeError("a blob of the window was not read");
    out.set(source.subarray(from, to), at);
    at += to - from;
  }
  return out;
}

/** The contents of the window's blobs in order. */
async function readBlobs(reader: ContentReader, window: readonly Slice[]): Promise<Buffer[]> {
  const runs: PackedBlob[][] = [];
  for (const { piece } of window) {
    if (piece.kind !== "blob") continue;
    const blob = { digest: piece.digest, row: packedRow(reader, piece) };
    const run = runs.at(-1);
    if (run !== undefined && continues(run, blob)) run.push(blob);
    else runs.push([blob]);
  }
  const contents: Buffer[] = [];
  for (let i = 0; i < runs.length; i += READS_AT_ONCE) {
    const batch = await Promise.all(runs.slice(i, i + READS_AT_ONCE).map((run) => reader.neighbours(run)));
    for (const buffers of batch) contents.push(...buffers);
  }
  return contents;
}

function packedRow(reader: ContentReader, piece: { digest: Digest; size: number }): PackedBlob["row"] {
  const row = reader.find(piece.digest);
  if (row === undefined) throw corrupt(piece.digest, "it is part of a layer, but gone or damaged");
  if (row.kind !== "packed" || row.size !== piece.size)
    throw corrupt(piece.digest, "it is not as its listing says");
  return row;
}

function continues(run: readonly PackedBlob[], next: PackedBlob): boolean {
  const first = run[0]?.row;
  const last = run.at(-1)?.row;
  if (first === undefined || last === undefined || last.segment !== next.row.segment) return false;
  const gap = next.row.offset - (last.offset + last.size);
  return gap >= 0 && gap <= GAP_BYTES && next.row.offset + next.row.size - first.offset <= RUN_BYTES;
}
