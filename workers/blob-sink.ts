import type { Digest } from "../proto/digest.ts";
import { KARTA_FILE } from "../proto/karta-toml.ts";
import { LIMITS } from "../proto/limits.ts";
import type { FileEntry } from "../proto/listing.ts";
import type { BlobWriter, TaskWriter } from "../store/task-writer.ts";
import type { ArchiveSink } from "./archive/read-archive.ts";
import type { KnownParts } from "./compose-artifact.ts";
import { contentOf, type HeldLayer } from "./held-layer.ts";
import type { LayerMemory } from "./layer-memory.ts";
import type { KnownTree } from "./tree-memory.ts";

/** A file of a layer that is held. */
export interface HeldContent {
  readonly layer: HeldLayer;
  /** Its number in the layer. */
  readonly at: number;
  readonly entry: FileEntry;
}

/** By path; valid until the next layer is made. */
export type HeldContents = ReadonlyMap<string, HeldContent>;

/** What is held of an image's files. */
export function heldContents(parts: KnownParts | undefined, heldLayers: LayerMemory): HeldContents {
  const contents = new Map<string, HeldContent>();
  for (const { subtree } of parts?.values() ?? []) {
    const layer = heldLayers.get(subtree);
    layer?.entries.forEach((entry, at) => {
      if (entry.type === "file") contents.set(entry.path, { layer, at, entry });
    });
  }
  return contents;
}

/** What the file in hand is compared with. */
interface Twin {
  readonly held: HeldContent;
  readonly bytes: Buffer;
  equalBytes: number;
}

/**
 * Stores files as they come by, and keeps what decides the build kind. A file that is, byte for byte, what a recent release has at its path
 * needs no digest: a comparison costs a tenth of a hash.
 */
export class BlobSink implements ArchiveSink {
  karta: Uint8Array | undefined;
  hasDockerfile = false;
  readonly #writer: TaskWriter;
  readonly #held: HeldContents;
  /** Of the files that were found equal. */
  readonly #equal = new Map<string, HeldContent>();
  #path = "";
  #size = 0;
  #twin: Twin | undefined;
  #blob: BlobWriter | undefined;
  #manifest: Buffer[] | undefined;

  constructor(writer: TaskWriter, held: HeldContents) {
    this.#writer = writer;
    this.#held = held;
  }

  beginFile({ path, size, wanted }: { path: string; size: number; wanted: boolean }): void {
    if (path === "Dockerfile") this.hasDockerfile = true;
    // One byte past the limit is enough for parseKartaToml to refuse it.
    this.#manifest = path === KARTA_FILE ? [] : undefined;
    this.#path = path;
    this.#size = size;
    this.#twin = undefined;
    this.#blob = undefined;
    if (!wanted) return;
    const held = this.#held.get(path);
    if (held === undefined || held.entry.size !== size) this.#blob = this.#writer.beginBlob(size);
    else this.#twin = { held, bytes: contentOf(held.layer, held.at), equalBytes: 0 };
  }

  fileData(chunk: Uint8Array): void {
    if (this.#twin !== undefined) this.#compare(chunk, this.#twin);
    else this.#blob?.write(chunk);
    if (this.#manifest !== undefined && lengthOf(this.#manifest) <= LIMITS.manifestBytes)
      this.#manifest.push(Buffer.from(chunk));
  }

  endFile(): Digest | undefined {
    if (this.#manifest !== undefined) this.karta = Buffer.concat(this.#manifest);
    this.#manifest = undefined;
    if (this.#twin === undefined) return this.#blob?.end();
    const { held, bytes, equalBytes } = this.#twin;
    if (equalBytes !== bytes.byteLength) throw new RangeError("a file ended early");
    this.#equal.set(this.#path, held);
    return held.entry.digest;
  }

  /** Makes the task rely on what was found equal; what the store has lost meanwhile is put again. */
  putHeld(known: KnownTree): void {
    known.relyOnFound(this.#writer);
    known.tree.entries.forEach((entry, i) => {
      const held = this.#equal.get(entry.path);
      if (held === undefined || entry.type !== "file" || held.entry.digest !== entry.digest) return;
      if (!known.hasContent(i, this.#writer)) this.#writer.putBlob(contentOf(held.layer, held.at));
    });
  }

  #compare(chunk: Uint8Array, twin: Twin): void {
    const { bytes, equalBytes } = twin;
    const end = equalBytes + chunk.byteLength;
    if (end <= bytes.byteLength && bytes.compare(chunk, 0, chunk.byteLength, equalBytes, end) === 0) {
      twin.equalBytes = end;
      return;
    }
    this.#twin = undefined;
    this.#blob = this.#writer.beginBlob(this.#size);
    this.#blob.write(bytes.subarray(0, equalBytes));
    this.#blob.write(chunk);
  }
}

function lengthOf(chunks: readonly Buffer[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
}
