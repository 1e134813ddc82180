import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import type { LayerRow } from "../proto/commit-batch.ts";
import { type Digest, digestHex } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import { LIMITS } from "../proto/limits.ts";
import type { TreeEntry } from "../proto/tree.ts";
import { treeEntries } from "../proto/tree-lines.ts";
import { corrupt } from "./blob-reader.ts";
import type { ContentReader } from "./content-reader.ts";
import type { IndexView } from "./index-view.ts";
import { LayerMap } from "./layer-map.ts";
import { layerBytes } from "./layer-stream.ts";
import { Lru } from "./lru.ts";
import { inTurns } from "./turns.ts";

/** Listings that are kept in memory: those of 10 releases of 50,000 files. Layers that are being pulled have theirs in their map. */
const LISTING_CACHE_BYTES = 64 * 1024 * 1024;
const LAYER_MAP_BYTES = 64 * 1024 * 1024;

/** Exclusive of `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface OpenedContent {
  /** Of the whole content, also when a range was asked for. */
  readonly size: number;
  readonly stream: Readable;
}

/** Blobs and computed layers as streams, trees as entries. */
export class Content {
  readonly #view: IndexView;
  readonly #reader: ContentReader;
  readonly #listings = new Lru<Digest, Buffer>(LISTING_CACHE_BYTES, (bytes) => bytes.byteLength);
  readonly #listingReads = new Map<Digest, Promise<Buffer>>();
  readonly #maps = new Lru<Digest, LayerMap>(LAYER_MAP_BYTES, (map) => map.weight);

  constructor(options: { view: IndexView; reader: ContentReader }) {
    this.#view = options.view;
    this.#reader = options.reader;
  }

  stat(digest: Digest): { size: number; kind: "packed" | "big" | "layer" } | undefined {
    const row = this.#view.liveBlob(digest);
    if (row !== undefined) return { size: row.size, kind: row.kind };
    const layer = this.#readableLayer(digest);
    return layer === undefined ? undefined : { size: layer.size, kind: "layer" };
  }

  /** @throws GranaryError BLOB_UNKNOWN, STORE_CORRUPT, STORE_IO */
  async read(digest: Digest): Promise<Buffer> {
    const row = this.#reader.row(digest);
    if (row.kind === "packed") return this.#reader.packed({ digest, row });
    const chunks: Buffer[] = [];
    for await (const chunk of verified(
      this.#reader.big(digest, { size: row.size, start: 0, end: row.size }),
      digest,
    ))
      chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  /**
   * Full reads verify the sha256 and fail before the last chunk when it differs; range reads verify crcs. Corrupt packed content
   * is found before this resolves, other corruption destroys the stream.
   * @throws GranaryError BLOB_UNKNOWN, RANGE_INVALID, STORE_CORRUPT, STORE_IO
   */
  async open(digest: Digest, range?: ByteRange): Promise<OpenedContent> {
    const row = this.#view.liveBlob(digest);
    if (row === undefined) return this.#openLayer(digest, range);
    checkRange(digest, row.size, range);
    if (row.kind === "packed") {
      const bytes = await this.#reader.packed({ digest, row });
      return {
        size: row.size,
        stream: toStream([range === undefined ? bytes : bytes.subarray(range.start, range.end)]),
      };
    }
    const whole = { size: row.size, start: 0, end: row.size };
    const chunks =
      range === undefined
        ? verified(this.#reader.big(digest, whole), digest)
        : this.#reader.big(digest, { ...whole, ...range });
    return { size: row.size, stream: toStream(chunks) };
  }

  /**
   * The canonical bytes of a stored listing, shared: not to be changed. Who asks while it is being read waits for the same read.
   * @throws GranaryError as {@link Content.read}
   */
  async readListing(digest: Digest): Promise<Buffer> {
    const known = this.#listings.get(digest);
    if (known !== undefined) return known;
    const started = this.#listingReads.get(digest);
    if (started !== undefined) return started;
    const reading = this.read(digest).finally(() => this.#listingReads.delete(digest));
    this.#listingReads.set(digest, reading);
    const bytes = await reading;
    this.#listings.set(digest, bytes);
    return bytes;
  }

  /** All entries of a stored listing, parsed a slice a turn. @throws GranaryError as {@link Content.read} */
  async readTree(digest: Digest): Promise<TreeEntry[]> {
    const entries: TreeEntry[] = [];
    await inTurns(treeEntries(await this.readListing(digest)), (entry) => entries.push(entry));
    return entries;
  }

  /** A layer whose listing is there. */
  #readableLayer(digest: Digest): LayerRow | undefined {
    const layer = this.#view.layer(digest);
    return layer !== undefined && this.#view.liveBlob(layer.subtree) !== undefined ? layer : undefined;
  }

  async #openLayer(digest: Digest, range: ByteRange | undefined): Promise<OpenedContent> {
    const layer = this.#readableLayer(digest);
    if (layer === undefined) throw new GranaryError("BLOB_UNKNOWN", `the store has no ${digest}`, { digest });
    checkRange(digest, layer.size, range);
    const map = await this.#layerMap(layer);
    if (map.size !== layer.size)
      throw corrupt(digest, `its listing makes a layer of ${map.size} bytes, not ${layer.size}`);
    const { start, end } = range ?? { start: 0, end: layer.size };
    const { pieces, start: piecesStart } = map.from(start);
    const bytes = layerBytes(this.#reader, { pieces, piecesStart, start, end });
    return { size: layer.size, stream: toStream(range === undefined ? verified(bytes, digest) : bytes) };
  }

  async #layerMap(layer: LayerRow): Promise<LayerMap> {
    const known = this.#maps.get(layer.digest);
    if (known !== undefined) return known;
    const map = await LayerMap.build(await this.readListing(layer.subtree));
    this.#maps.set(layer.digest, map);
    return map;
  }
}

/** Hands chunks on one behind, and the last one only when all of them together have the digest. */
async function* verified(
  chunks: AsyncIterable<Buffer>,
  digest: Digest,
): AsyncGenerator<Buffer, void, undefined> {
  const hash = createHash("sha256");
  let held: Buffer | undefined;
  for await (const chunk of chunks) {
    hash.update(chunk);
    if (held !== undefined) yield held;
    held = chunk;
  }
  if (hash.digest("hex") !== digestHex(digest)) throw corrupt(digest, "the stream has another sha256");
  if (held !== undefined) yield held;
}

function toStream(chunks: Iterable<Buffer> | AsyncIterable<Buffer>): Readable {
  return Readable.from(chunks, { objectMode: false, highWaterMark: LIMITS.crcChunkBytes });
}

function checkRange(digest: Digest, size: number, range: ByteRange | undefined): void {
  if (range === undefined) return;
  const { start, end } = range;
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start < end && end <= size)
    return;
  throw new GranaryError("RANGE_INVALID", `${start}-${end} is outside ${digest} of ${size} bytes`, {
    digest,
    size,
  });
}
