import { closeSync, openSync } from "node:fs";
import type { Digest } from "../proto/digest.ts";
import type { ImageLayer } from "../proto/image.ts";
import type { FileEntry } from "../proto/listing.ts";
import type { PublishStats } from "../proto/records.ts";
import { encodeTree } from "../proto/tree.ts";
import { type ExtractResult, type ExtractTask, TASK_CELL } from "../proto/worker-tasks.ts";
import type { TaskWriter } from "../store/task-writer.ts";
import type { ThreadStore } from "../store/thread-store.ts";
import { fileSource, readArchive } from "./archive/read-archive.ts";
import { BlobSink, heldContents } from "./blob-sink.ts";
import { composeArtifact } from "./compose-artifact.ts";
import { contentStats } from "./content-stats.ts";
import { stopWhenCancelled } from "./stop-when-cancelled.ts";
import { startClock } from "./task-clock.ts";
import { count, TaskLogWriter } from "./task-log.ts";
import type { KnownTree, TreeMemory } from "./tree-memory.ts";

/**
 * One publish on one thread: archive -> blobs, canonical tree, layers, image. Appends only what the store lacks; nothing is
 * visible before the committer took the returned batch. On any failure the thread's segment is cut back to where it was.
 *
 * @throws GranaryError ARCHIVE_*, MANIFEST_*, BUILDPACK_UNKNOWN, STORE_*
 */
export function extractArchive(task: ExtractTask, store: ThreadStore, memory: TreeMemory): ExtractResult {
  const writer = store.beginTask(task.cell);
  try {
    return extractInto(task, writer, memory);
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

function extractInto(task: ExtractTask, writer: TaskWriter, memory: TreeMemory): ExtractResult {
  const cells = new Float64Array(task.cell);
  const clock = startClock();
  const log = new TaskLogWriter(task.log);
  log.info(`reading the archive, ${count(task.uploadBytes)} bytes`);
  // What was retired and condemned since the task was made is no base any more.
  const bases = task.baseTrees.filter((base) => writer.has(base));
  const similar = memory.first(bases, ({ parts }) => parts !== undefined)?.parts;
  const sink = new BlobSink(writer, heldContents(similar, memory.layers));
  const report = readFile(task, sink, (expandedBytes) => {
    stopWhenCancelled(cells);
    cells[TASK_CELL.progress] = expandedBytes + 1;
    log.progress(() => `${count(expandedBytes)} bytes extracted`);
  });
  clock.lap("extract");
  log.info(`the archive is read: ${count(report.tree.entries.length)} entries`);
  const { warnings } = report.tree;
  const treeBytes = encodeTree(report.tree.entries);
  const tree = { digest: writer.putBlob(treeBytes), size: treeBytes.byteLength };
  const known = memory.take(tree.digest, bases, () => treeBytes);
  sink.putHeld(known);
  const { entries } = known.tree;
  const { artifact, layers, parts } = composeArtifact(
    { entries, tree, warnings, karta: sink.karta, hasDockerfile: sink.hasDockerfile, similar },
    {
      writer,
      clock,
      heldLayers: memory.layers,
      imageBuilds: task.imageBuilds,
      tick: () => {
        stopWhenCancelled(cells);
        cells[TASK_CELL.progress] = (cells[TASK_CELL.progress] ?? 0) + 1;
        log.progress(() => "composing the image");
      },
    },
  );
  known.parts = parts;
  const counted = statsOf(task, { writer, memory, bases, known, layers });
  clock.lap("stats");
  const stats = { ...counted, timings_ms: clock.laps };
  return { artifact, stats, log: log.seal(writer, { artifact, stats }), commit: writer.finish() };
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

/**
 * New and reused, measured only against what the project's recent releases hold (ruling 8): the numbers never tell an org what
 * another one has stored. A content that occurs twice in one archive is new once.
 */
function statsOf(
  task: ExtractTask,
  made: {
    writer: TaskWriter;
    memory: TreeMemory;
    bases: readonly Digest[];
    known: KnownTree;
    layers: readonly ImageLayer[];
  },
): Omit<PublishStats, "timings_ms"> {
  const { writer, memory, bases, known } = made;
  const { entries } = known.tree;
  const distinct = known.distinct.map((i) => entries[i] as FileEntry);
  const fresh = memory.missingIn(distinct, bases, (base) => writer.readBlob(base));
  const files = entries.filter((entry) => entry.type === "file");
  const baseLayers = new Set(task.baseLayers);
  const reusedLayers = made.layers.filter((layer) => baseLayers.has(layer.digest)).length;
  return {
    uploaded_bytes: task.uploadBytes,
    ...contentStats(files, fresh),
    new_layers: made.layers.length - reusedLayers,
    reused_layers: reusedLayers,
  };
}
