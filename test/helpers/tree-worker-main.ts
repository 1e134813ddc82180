import { createHash } from "node:crypto";
import { parentPort, workerData } from "node:worker_threads";
import type { CommitBatch } from "../../proto/commit-batch.ts";
import type { Digest } from "../../proto/digest.ts";
import type { Outcome } from "../../proto/errors.ts";
import { LAYER_ENCODER, layerPieces, layerSize } from "../../proto/layers.ts";
import { parseTree } from "../../proto/tree.ts";
import type { MaterializeResult, MaterializeTask, WorkerData } from "../../proto/worker-tasks.ts";
import { asGranaryError } from "../../store/as-granary-error.ts";
import { openThreadStore } from "../../store/thread-store.ts";
import { materializeTree } from "../../workers/materialize-tree.ts";
import { contentOf, taskCell } from "./store-fixture.ts";
import { writeTree } from "./store-trees.ts";

/** A pool thread for tests: makes a tree of contents, and its layer, as one task; or a tree a folder. */
export interface TreeTask {
  readonly files: readonly { readonly seed: string; readonly size: number }[];
}

export interface TreeReply {
  readonly tree: Digest;
  readonly layer: Digest;
  readonly batch: CommitBatch;
}

const thread = openThreadStore(workerData as WorkerData);

parentPort?.on("message", (task: TreeTask | MaterializeTask) => {
  parentPort?.postMessage("files" in task ? makeTree(task) : makeFolder(task));
});

function makeFolder(task: MaterializeTask): Outcome<MaterializeResult> {
  try {
    return { ok: true, value: materializeTree(task, thread) };
  } catch (error) {
    return { ok: false, error: asGranaryError(error).toWire() };
  }
}

function makeTree({ files }: TreeTask): TreeReply {
  const writer = thread.beginTask(taskCell());
  const { tree } = writeTree(
    writer,
    files.map(({ seed, size }) => contentOf(seed, size)),
  );
  const known = writer.layer(tree, LAYER_ENCODER);
  let layer = known?.digest;
  if (layer === undefined) {
    const entries = parseTree(writer.readBlob(tree));
    const hash = createHash("sha256");
    for (const piece of layerPieces(entries))
      hash.update(piece.kind === "bytes" ? piece.bytes : writer.readBlob(piece.digest));
    layer = `sha256:${hash.digest("hex")}` as Digest;
    writer.addLayer({ digest: layer, size: layerSize(entries), encoder: LAYER_ENCODER, subtree: tree });
  }
  return { tree, layer, batch: writer.finish() };
}
