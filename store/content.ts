import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import type { LayerRow } from "../proto/commit-batch.ts";
import { type Digest, digestHex } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import { LIMITS } from "../proto/limits.ts";
import { parseTree, type TreeEntry } from "../proto/tree.ts";
import { corrupt } from "./blob-reader.ts";
import type { ContentReader } from "./content-reader.ts";
import type { IndexView } from "./index-view.ts";
import { LayerMap } from "./layer-map.ts";
import { layerBytes } from "./layer-stream.ts";
import { Lru } from "./lru.ts";

/** Entries (of about 200 bytes) that parsed trees hold in memory, and that layer maps (12 bytes each) cover. */
const TREE_CACHE_ENTRIES = 250_000;
const LAYER_MAP_ENTRIES = 1_000_000;

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
  readonly #trees = new Lru<Digest, TreeEntry[]>(TREE_CACHE_ENTRIES, (entries) => entries.length + 1);
  readonly #maps = new Lru<Digest, LayerMap>(LAYER_MAP_ENTRIES, (map) => map.weight + 1);

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

  /** Entries of a stored listing, shared: not to be changed. @throws GranaryError as {@link Content.read} */
  async readTree(digest: Digest): Promise<TreeEntry[]> {
    const known = this.#trees.get(digest);
    if (known !== undefined) return known;
    const entries = parseTree(await this.read(digest));
    this.#trees.set(digest, entries);
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
    const map = await LayerMap.build(await this.readTree(layer.subtree));
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
