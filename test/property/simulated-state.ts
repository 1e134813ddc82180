import type { LocalTx, StateWriter } from "../../services/shared/state-db.ts";
import type { StateKey, StateTx } from "../../services/shared/state-db-tx.ts";
import { MemoryState } from "../helpers/memory-state.ts";

/** What a replica keeps through a crash, with LMDB's promise: a transaction is there as a whole or not at all. */
export class SimulatedState implements Pick<StateWriter, "transact" | "read" | "readLocal"> {
  readonly state: MemoryState;
  readonly #local: Map<string, string>;
  /** Called before each write of a transaction: a throw is the process's end. */
  beforeWrite: () => void = () => undefined;

  constructor(from?: { state: MemoryState; local: ReadonlyMap<string, string> }) {
    this.state = from?.state ?? new MemoryState();
    this.#local = new Map(from?.local);
  }

  transact<T>(body: (tx: StateTx, local: LocalTx) => T): T {
    const undo: (() => void)[] = [];
    const { state } = this;
    const remember = (key: StateKey<unknown>) => {
      this.beforeWrite();
      const before = state.get(key);
      undo.push(() => (before === undefined ? state.remove(key) : state.put(key, before)));
    };
    const tx: StateTx = {
      get: (key) => state.get(key),
      range: (range, options) => state.range(range, options),
      put: (key, value) => {
        remember(key);
        state.put(key, value);
      },
      remove: (key) => {
        remember(key);
        state.remove(key);
      },
    };
    const localBefore = new Map(this.#local);
    const local: LocalTx = {
      put: (key, value) => this.#local.set(key, value),
      remove: (key) => this.#local.delete(key),
    };
    try {
      return body(tx, local);
    } catch (error) {
      for (const step of undo.reverse()) step();
      this.#local.clear();
      for (const [key, value] of localBefore) this.#local.set(key, value);
      throw error;
    }
  }

  read: StateWriter["read"] = (body) => body(this.state);

  readLocal(key: string): string | undefined {
    return this.#local.get(key);
  }

  /** A snapshot: shares nothing. */
  copy(): SimulatedState {
    return new SimulatedState({ state: MemoryState.from(this.state.rows()), local: this.#local });
  }
}
