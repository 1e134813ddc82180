import { digestInSlices } from "../shared/digest-in-slices.ts";
import type { SnapshotOptions } from "../shared/replica-messages.ts";
import { listSnapshots, writeSnapshot } from "../shared/snapshots.ts";
import type { StateWriter } from "../shared/state-db.ts";

export interface SnapshotTaker {
  /** Commands up to `seq` are applied. */
  applied(seq: number): void;
  close(): Promise<void>;
}

/**
 * Takes a snapshot whenever `every` commands were applied since the last. LMDB copies in a thread of its own and the digest is read
 * in slices; commands are applied meanwhile.
 */
export function takeSnapshots(
  options: SnapshotOptions & {
    writer: Pick<StateWriter, "copy" | "settle">;
    /** The log that is followed. Snapshots of an earlier one cannot go on with it: then one is taken at once. */
    epoch: string;
    /** Snapshots that are kept now, the newest first. */
    onSnapshots(seqs: readonly number[]): void;
    warn(detail: Record<string, unknown>, message: string): void;
  },
): SnapshotTaker {
  const { dir, every, keep, writer, epoch } = options;
  const abort = new AbortController();
  const found = listSnapshots(dir);
  const own = found.find((snapshot) => snapshot.epoch === epoch);
  let lastSeq = own?.seq ?? (found.length > 0 ? Number.NEGATIVE_INFINITY : 0);
  let running: Promise<void> | undefined;
  if (found.length > 0) options.onSnapshots(found.map(({ seq }) => seq));

  const take = async (): Promise<void> => {
    try {
      const taken = await writeSnapshot(dir, {
        copy: (file) => writer.copy(file),
        digestOf: (rows) => digestInSlices(rows, abort.signal),
        keep,
      });
      if (taken === undefined) return;
      // The log is trimmed on the word of a snapshot: the state must not fall back behind it.
      writer.settle();
      lastSeq = taken.seq;
      options.onSnapshots(listSnapshots(dir).map(({ seq }) => seq));
    } catch (error) {
      // Nothing is trimmed without it: the next interval tries again.
      options.warn({ err: String(error) }, "a snapshot of the state could not be taken");
    } finally {
      running = undefined;
    }
  };

  return {
    applied(seq) {
      if (seq - lastSeq < every || running !== undefined || abort.signal.aborted) return;
      lastSeq = seq;
      running = take();
    },
    async close() {
      abort.abort();
      await running;
    },
  };
}
