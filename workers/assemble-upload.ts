import { readFileSync } from "node:fs";
import { quote } from "../proto/entry-path.ts";
import { GranaryError } from "../proto/errors.ts";
import { KARTA_FILE } from "../proto/karta-toml.ts";
import { LIMITS } from "../proto/limits.ts";
import type { FileEntry } from "../proto/listing.ts";
import type { TreeEntry } from "../proto/tree.ts";
import { type BlobRange, parseSessionFile } from "../proto/upload-session.ts";
import { type AssembleTask, type ExtractResult, TASK_CELL } from "../proto/worker-tasks.ts";
import type { TaskWriter } from "../store/task-writer.ts";
import type { ThreadStore } from "../store/thread-store.ts";
import { composeArtifact } from "./compose-artifact.ts";
import { stopWhenCancelled } from "./stop-when-cancelled.ts";
import { StreamReader } from "./stream-reader.ts";
import { startClock } from "./task-clock.ts";
import { count, TaskLogWriter } from "./task-log.ts";
import type { KnownTree, TreeMemory } from "./tree-memory.ts";

/**
 * One directory publish on one thread: takes the missing contents from the stream, checks that all others are there, and makes of
 * the listing what {@link extractArchive} makes of an archive of the same files.
 * @throws GranaryError DIGEST_INVALID naming the path, UPLOAD_OFFSET, CONTENT_GONE, MANIFEST_*, BUILDPACK_UNKNOWN, STORE_*
 */
export function assembleUpload(task: AssembleTask, store: ThreadStore, memory: TreeMemory): ExtractResult {
  const writer = store.beginTask(task.cell);
  try {
    return assembleInto(task, writer, memory);
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

function assembleInto(task: AssembleTask, writer: TaskWriter, memory: TreeMemory): ExtractResult {
  const cells = new Float64Array(task.cell);
  const log = new TaskLogWriter(task.log);
  const tick = (): void => {
    stopWhenCancelled(cells);
    cells[TASK_CELL.progress] = (cells[TASK_CELL.progress] ?? 0) + 1;
    log.progress(() => `step ${count(cells[TASK_CELL.progress] ?? 0)}`);
  };
  tick();
  const clock = startClock();
  const { session, missing, listing } = parseSessionFile(readFileSync(task.sessionPath));
  if (writer.putBlob(listing) !== session.tree)
    throw new GranaryError("STORE_CORRUPT", `the listing of ${session.tree} is damaged`);
  const known = memory.take(session.tree, task.baseTrees, () => listing);
  const { entries } = known.tree;
  log.info(
    `taking a listing of ${count(entries.length)} entries; ${count(task.uploadBytes)} bytes were sent`,
  );
  takeContents(known, { task, writer, missing, tick });
  clock.lap("extract");
  const { artifact, layers, parts } = composeArtifact(
    {
      entries,
      tree: { digest: session.tree, size: listing.byteLength },
      karta: kartaOf(entries, writer),
      hasDockerfile: entries.some(({ path, type }) => path === "Dockerfile" && type === "file"),
      warnings: session.warnings,
      similar: memory.first(task.baseTrees, (tree) => tree.parts !== undefined)?.parts,
    },
    { writer, clock, tick, heldLayers: memory.layers, imageBuilds: task.imageBuilds },
  );
  known.parts = parts;
  const baseLayers = new Set(task.baseLayers);
  const reusedLayers = layers.filter(({ digest }) => baseLayers.has(digest)).length;
  const stats = {
    uploaded_bytes: task.uploadBytes,
    ...session.stats,
    new_layers: layers.length - reusedLayers,
    reused_layers: reusedLayers,
    timings_ms: clock.laps,
  };
  return { artifact, stats, log: log.seal(writer, { artifact, stats }), commit: writer.finish() };
}

interface TakeContext {
  readonly task: AssembleTask;
  readonly writer: TaskWriter;
  readonly missing: readonly BlobRange[];
  readonly tick: () => void;
}

function takeContents(known: KnownTree, { task, writer, missing, tick }: TakeContext): void {
  known.relyOnFound(writer);
  const { distinct } = known;
  const blobAt = (at: number): FileEntry => known.tree.entries[distinct[at] ?? -1] as FileEntry;
  const isSent = new Set(
    missing.flatMap(([first, count]) => Array.from({ length: count }, (_, i) => first + i)),
  );
  const stream = new StreamReader(
    [...isSent].some((at) => blobAt(at).size > 0) ? task.streamPath : undefined,
  );
  try {
    distinct.forEach((entry, at) => {
      if (isSent.has(at)) {
        takeBlob(blobAt(at), stream, writer);
        tick();
      } else checkPresent(known, entry, writer);
    });
    if (!stream.ended())
      throw new GranaryError("UPLOAD_OFFSET", "the stream goes on behind the listing's end");
  } finally {
    stream.close();
  }
}

function takeBlob({ path, digest, size }: FileEntry, stream: StreamReader, writer: TaskWriter): void {
  const blob = writer.beginBlob(size);
  for (const piece of stream.next(size)) blob.write(piece);
  const actual = blob.end();
  if (actual === digest) return;
  throw new GranaryError("DIGEST_INVALID", `${quote(path)} was sent with ${actual}, listed with ${digest}`, {
    path,
    expected: digest,
    actual,
  });
}

/** What was called present may have been found damaged since: the client has to be told to bring it. */
function checkPresent(known: KnownTree, at: number, writer: TaskWriter): void {
  if (known.hasContent(at, writer)) return;
  const { path, digest } = known.tree.entries[at] as FileEntry;
  throw new GranaryError(
    "CONTENT_GONE",
    `the content of ${quote(path)} is gone since the publish was planned`,
    { path, digest },
  );
}

function kartaOf(entries: readonly TreeEntry[], writer: TaskWriter): Uint8Array | undefined {
  const entry = entries.find(({ path }) => path === KARTA_FILE);
  if (entry?.type !== "file") return undefined;
  // One byte past the limit is enough for it to be refused.
  return entry.size > LIMITS.manifestBytes
    ? new Uint8Array(LIMITS.manifestBytes + 1)
    : writer.readBlob(entry.digest);
}
