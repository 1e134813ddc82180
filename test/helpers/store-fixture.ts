import { createCipheriv, createHash } from "node:crypto";
import { type Digest, digestOf } from "../../proto/digest.ts";
import { LAYER_ENCODER, layerPieces, layerSize } from "../../proto/layers.ts";
import { encodeTree, type TreeEntry } from "../../proto/tree.ts";
import { TASK_CELL } from "../../proto/worker-tasks.ts";
import { openStore, type Store } from "../../store/store.ts";
import type { TaskWriter } from "../../store/task-writer.ts";
import { openThreadStore, type ThreadStore } from "../../store/thread-store.ts";

export interface LoggedLine {
  readonly level: string;
  readonly message: string;
  readonly data: Readonly<Record<string, string | number>>;
}

/** A store and a worker's view of it, both in this thread. */
export interface StoreFixture {
  readonly dir: string;
  readonly store: Store;
  readonly thread: ThreadStore;
  readonly log: LoggedLine[];
  /** Puts contents as one task and commits it. */
  put(...contents: Uint8Array[]): Promise<Digest[]>;
  task(): TaskWriter;
  close(): Promise<void>;
}

export async function openStoreFixture(
  dir: string,
  options: { now?: () => number } = {},
): Promise<StoreFixture> {
  const log: LoggedLine[] = [];
  const store = await openStore({
    dir,
    log: (level, message, data) => log.push({ level, message, data }),
    ...options,
  });
  const thread = openThreadStore(store.workerData());
  const task = () => thread.beginTask(taskCell());
  return {
    dir,
    store,
    thread,
    log,
    task,
    put: async (...contents) => {
      const writer = task();
      const digests = contents.map((content) => writer.putBlob(content));
      await store.commit(writer.finish());
      return digests;
    },
    close: async () => {
      await thread.close();
      await store.close();
    },
  };
}

export function taskCell(): SharedArrayBuffer {
  return new SharedArrayBuffer(TASK_CELL.length * Float64Array.BYTES_PER_ELEMENT);
}

/** The same bytes for the same seed, unlike those of any other. */
export function contentOf(seed: string | number, size: number): Buffer {
  const key = createHash("sha256").update(String(seed)).digest();
  return createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(size));
}

export interface StoredLayer {
  readonly digest: Digest;
  readonly bytes: Buffer;
  readonly entries: readonly TreeEntry[];
}

/** Puts files and the layer that they make up, and commits both. */
export async function putLayer(
  fixture: StoreFixture,
  files: Readonly<Record<string, Uint8Array>>,
): Promise<StoredLayer> {
  const writer = fixture.task();
  const entries: TreeEntry[] = Object.keys(files)
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .map((path) => {
      const content = files[path] ?? Buffer.alloc(0);
      return {
        type: "file",
        path,
        executable: path.endsWith(".sh"),
        digest: writer.putBlob(content),
        size: content.byteLength,
      };
    });
  const contents = new Map(Object.values(files).map((content) => [digestOf(content), content]));
  const pieces = [...layerPieces(entries)].map((piece) =>
    piece.kind === "bytes" ? piece.bytes : (contents.get(piece.digest) ?? Buffer.alloc(0)),
  );
  const bytes = Buffer.concat(pieces);
  const subtree = writer.putBlob(encodeTree(entries));
  writer.addLayer({ digest: digestOf(bytes), size: layerSize(entries), encoder: LAYER_ENCODER, subtree });
  await fixture.store.commit(writer.finish());
  return { digest: digestOf(bytes), bytes, entries };
}

/** Reads a stream to its end; the chunks that came before an error are in `chunks`. */
export async function readStream(stream: AsyncIterable<Buffer>): Promise<{ bytes: Buffer; error: unknown }> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of stream) chunks.push(chunk);
  } catch (error) {
    return { bytes: Buffer.concat(chunks), error };
  }
  return { bytes: Buffer.concat(chunks), error: undefined };
}
