import { createHash } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { resolveBuild } from "../proto/build-kind.ts";
import { type Digest, digestHex } from "../proto/digest.ts";
import {
  composeImage,
  DEFAULT_PLATFORM,
  DEFAULT_USER,
  type Image,
  type ImageLayer,
  RECIPE_VERSION,
} from "../proto/image.ts";
import { KARTA_FILE, type KartaManifest, parseKartaToml } from "../proto/karta-toml.ts";
import { LAYER_ENCODER, layerPieces, splitTree, type TreePart } from "../proto/layers.ts";
import { LIMITS } from "../proto/limits.ts";
import type { ArtifactRecord, PublishStats } from "../proto/records.ts";
import { encodeTree, parseTree, summarizeTree, type TreeEntry } from "../proto/tree.ts";
import { type ExtractResult, type ExtractTask, TASK_CELL } from "../proto/worker-tasks.ts";
import type { TaskWriter } from "../store/task-writer.ts";
import type { ThreadStore } from "../store/thread-store.ts";
import { type ArchiveSink, fileSource, readArchive } from "./archive/read-archive.ts";

/**
 * One publish on one thread: archive -> blobs, canonical tree, layers, image. Appends only what the store lacks; nothing is
 * visible before the committer took the returned batch. On any failure the thread's segment is cut back to where it was.
 *
 * @throws GranaryError ARCHIVE_*, MANIFEST_*, BUILDPACK_UNKNOWN, STORE_*
 */
export function extractArchive(task: ExtractTask, store: ThreadStore): ExtractResult {
  const writer = store.beginTask(task.cell);
  try {
    return extractInto(task, writer);
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

function extractInto(task: ExtractTask, writer: TaskWriter): ExtractResult {
  const cells = new Float64Array(task.cell);
  const clock = startClock();
  const sink = new BlobSink(writer);
  const report = readFile(task, sink, (expandedBytes) => {
    cells[TASK_CELL.progress] = expandedBytes + 1;
  });
  clock.lap("extract");
  const { entries } = report.tree;
  const karta = sink.karta === undefined ? undefined : parseKartaToml(sink.karta);
  const build = resolveBuild({ hasDockerfile: sink.hasDockerfile, karta, imageBuilds: task.imageBuilds });
  const treeBytes = encodeTree(entries);
  const tree = writer.putBlob(treeBytes);
  clock.lap("tree");
  const layers = composeLayers(entries, {
    writer,
    tree,
    tick: () => {
      cells[TASK_CELL.progress] = (cells[TASK_CELL.progress] ?? 0) + 1;
    },
  });
  const image = composeImage(recipeOf(tree, karta), layers);
  writer.putBlob(image.configBytes);
  writer.putBlob(image.manifestBytes);
  clock.lap("image");
  const stats = statsOf(task, { writer, entries, layers });
  clock.lap("stats");
  const artifact: ArtifactRecord = {
    ...artifactOf(image, karta),
    ...build,
    tree,
    tree_size: treeBytes.byteLength,
    ...summary(entries),
    warnings: [...report.tree.warnings, ...(karta?.warnings ?? []), ...build.warnings].slice(
      0,
      LIMITS.warnings,
    ),
  };
  return { artifact, stats: { ...stats, timings_ms: clock.laps }, commit: writer.finish() };
}

function readFile(
  task: ExtractTask,
  sink: BlobSink,
  onProgress: (expandedBytes: number) => void,
): ReturnType<typeof readArchive> {
  const fd = openSync(task.archivePath, "r");
  try {
    onProgress(0);
    return readArchive(fileSource(fd), {
      limits: task.limits,
      portableNames: task.portableNames,
      strip: task.strip,
      sink,
      onProgress,
    });
  } finally {
    closeSync(fd);
  }
}

/** Stores files as they come by, and keeps what decides the build kind. */
class BlobSink implements ArchiveSink {
  karta: Uint8Array | undefined;
  hasDockerfile = false;
  readonly #writer: TaskWriter;
  #blob: ReturnType<TaskWriter["beginBlob"]> | undefined;
  #manifest: Buffer[] | undefined;

  constructor(writer: TaskWriter) {
    this.#writer = writer;
  }

  beginFile(entry: { path: string; size: number; wanted: boolean }): void {
    if (entry.path === "Dockerfile") this.hasDockerfile = true;
    // One byte past the limit is enough for parseKartaToml to refuse it.
    this.#manifest = entry.path === KARTA_FILE ? [] : undefined;
    this.#blob = entry.wanted ? this.#writer.beginBlob(entry.size) : undefined;
  }

  fileData(chunk: Uint8Array): void {
    this.#blob?.write(chunk);
    if (this.#manifest !== undefined && lengthOf(this.#manifest) <= LIMITS.manifestBytes)
      this.#manifest.push(Buffer.from(chunk));
  }

  endFile(): Digest | undefined {
    if (this.#manifest !== undefined) this.karta = Buffer.concat(this.#manifest);
    this.#manifest = undefined;
    return this.#blob?.end();
  }
}

function lengthOf(chunks: readonly Buffer[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
}

interface LayerContext {
  readonly writer: TaskWriter;
  readonly tree: Digest;
  /** Called for every piece: hashing a large layer is progress too. */
  readonly tick: () => void;
}

/** The layers of a tree; one whose subtree was seen before costs a look-up instead of a pass over its content. */
function composeLayers(entries: readonly TreeEntry[], context: LayerContext): ImageLayer[] {
  const parts = splitTree(entries);
  return parts.map((part) => {
    const subtree = parts.length === 1 ? context.tree : context.writer.putBlob(encodeTree(part.entries));
    const known = context.writer.layer(subtree, LAYER_ENCODER);
    const layer = known ?? computeLayer(part, subtree, context);
    return { digest: layer.digest, size: layer.size, folder: part.folder };
  });
}

function computeLayer(
  part: TreePart,
  subtree: Digest,
  context: LayerContext,
): { digest: Digest; size: number } {
  const hash = createHash("sha256");
  let size = 0;
  for (const piece of layerPieces(part.entries)) {
    if (piece.kind === "bytes") {
      hash.update(piece.bytes);
      size += piece.bytes.byteLength;
    } else {
      hash.update(context.writer.readBlob(piece.digest));
      size += piece.size;
      context.tick();
    }
  }
  const digest = `sha256:${hash.digest("hex")}` as Digest;
  context.writer.addLayer({ digest, size, encoder: LAYER_ENCODER, subtree });
  return { digest, size };
}

function recipeOf(tree: Digest, karta: KartaManifest | undefined): Parameters<typeof composeImage>[0] {
  return {
    recipe_version: RECIPE_VERSION,
    tree,
    platform: DEFAULT_PLATFORM,
    user: DEFAULT_USER,
    ...(karta?.entryPoint === undefined ? {} : { entry_point: karta.entryPoint }),
  };
}

function artifactOf(
  image: Image,
  karta: KartaManifest | undefined,
): Pick<
  ArtifactRecord,
  "image_digest" | "manifest" | "config" | "layers" | "recipe_version" | "platform" | "user" | "entry_point"
> {
  return {
    image_digest: image.manifest.digest,
    manifest: image.manifest,
    config: image.config,
    layers: image.layers,
    recipe_version: RECIPE_VERSION,
    platform: `${DEFAULT_PLATFORM.os}/${DEFAULT_PLATFORM.architecture}`,
    user: DEFAULT_USER,
    ...(karta?.entryPoint === undefined ? {} : { entry_point: karta.entryPoint }),
  };
}

function summary(entries: readonly TreeEntry[]): { file_count: number; size_bytes: number } {
  const { fileCount, sizeBytes } = summarizeTree(entries);
  return { file_count: fileCount, size_bytes: sizeBytes };
}

/**
 * New and reused, measured only against what the project's recent releases hold (ruling 8): the numbers never tell an org what
 * another one has stored. A content that occurs twice in one archive is new once.
 */
function statsOf(
  task: ExtractTask,
  made: { writer: TaskWriter; entries: readonly TreeEntry[]; layers: readonly ImageLayer[] },
): Omit<PublishStats, "timings_ms"> {
  const known = new Set<string>();
  for (const base of task.baseTrees) {
    for (const entry of parseTree(made.writer.readBlob(base)))
      if (entry.type === "file") known.add(digestHex(entry.digest));
  }
  let newBlobs = 0;
  let newBytes = 0;
  let reusedBlobs = 0;
  let reusedBytes = 0;
  for (const entry of made.entries) {
    if (entry.type !== "file") continue;
    const hex = digestHex(entry.digest);
    if (known.has(hex)) {
      reusedBlobs += 1;
      reusedBytes += entry.size;
    } else {
      known.add(hex);
      newBlobs += 1;
      newBytes += entry.size;
    }
  }
  const baseLayers = new Set(task.baseLayers);
  const reusedLayers = made.layers.filter((layer) => baseLayers.has(layer.digest)).length;
  return {
    uploaded_bytes: task.uploadBytes,
    new_blob_bytes: newBytes,
    new_blobs: newBlobs,
    reused_blob_bytes: reusedBytes,
    reused_blobs: reusedBlobs,
    new_layers: made.layers.length - reusedLayers,
    reused_layers: reusedLayers,
  };
}

function startClock(): { laps: Record<string, number>; lap(name: string): void } {
  const laps: Record<string, number> = {};
  let last = performance.now();
  return {
    laps,
    lap: (name) => {
      const now = performance.now();
      laps[name] = Math.round((now - last) * 10) / 10;
      last = now;
    },
  };
}
