import { open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import type { Ledger } from "./ledger.ts";

/** A transaction of a file ledger: change `state` in place, or replace it. */
export interface FileLedgerTx<S> {
  state: S;
}

/**
 * A ledger and a state in one JSON file, replaced as a whole: written beside it, synced, renamed. For one process and a state that is
 * small enough to be written with every event.
 */
export function fileLedger<S>(path: string, initial: S): Ledger<FileLedgerTx<S>> & { read(): Promise<S> } {
  interface File {
    readonly numbers: Record<string, number>;
    readonly cursors: Record<string, string>;
    state: S;
  }
  const load = async (): Promise<File> => {
    try {
      return { cursors: {}, ...(JSON.parse(await readFile(path, "utf8")) as Omit<File, "cursors">) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      return { numbers: {}, cursors: {}, state: structuredClone(initial) };
    }
  };
  const files = new WeakMap<FileLedgerTx<S>, File>();
  let queue: Promise<unknown> = Promise.resolve();
  return {
    read: async () => (await load()).state,
    transaction: (body) => {
      const turn = queue.then(async () => {
        const file = await load();
        const tx: FileLedgerTx<S> = { state: file.state };
        files.set(tx, file);
        const result = await body(tx);
        await replace(path, JSON.stringify({ ...file, state: tx.state }));
        return result;
      });
      queue = turn.catch(() => undefined);
      return turn;
    },
    lastNumber: (tx, source) => files.get(tx)?.numbers[source],
    lastCursor: (tx, source) => files.get(tx)?.cursors[source],
    setLastNumber: (tx, source, number, cursor) => {
      const file = files.get(tx);
      if (file === undefined) return;
      file.numbers[source] = number;
      if (cursor === undefined) delete file.cursors[source];
      else file.cursors[source] = cursor;
    },
  };
}

async function replace(path: string, text: string): Promise<void> {
  const fresh = `${path}.new`;
  const file = await open(fresh, "w");
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
