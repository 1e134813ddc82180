/** Threads of one process over its life, and those that tests open. */
const SLOTS = 1_024;
/** Int32 cells of a slot. */
const SLOT = { task: 0, beganS: 1, segment: 2, giveUp: 3, length: 4 } as const;
const IDLE = 0;
/** The task has begun, but its snapshot of the index is not taken yet. */
const STARTING = -1;
/** No task lives that long (LIMITS has 10 minutes): its thread died, and nobody said so. */
const TASK_LIFE_S = 3_600;

/** Shared by all threads of a store: the first cell hands out slots. */
export function createTaskSlots(): SharedArrayBuffer {
  return new SharedArrayBuffer((1 + SLOTS * SLOT.length) * Int32Array.BYTES_PER_ELEMENT);
}

/** What a thread says about itself, so that GC takes nothing away from under it. */
export class TaskSlot {
  /** From 1 on. */
  readonly number: number;
  readonly #cells: Int32Array;
  readonly #at: number;

  constructor(slots: SharedArrayBuffer) {
    this.#cells = new Int32Array(slots);
    this.number = (Atomics.add(this.#cells, 0, 1) % SLOTS) + 1;
    this.#at = slotAt(this.number);
  }

  /** To be called before the task takes its snapshot: from then on it is waited for. */
  starting(): void {
    Atomics.store(this.#cells, this.#at + SLOT.beganS, nowS());
    Atomics.store(this.#cells, this.#at + SLOT.task, STARTING);
  }

  /** The epoch of the task's snapshot. */
  began(epoch: number): void {
    Atomics.store(this.#cells, this.#at + SLOT.task, epoch);
  }

  ended(): void {
    Atomics.store(this.#cells, this.#at + SLOT.task, IDLE);
  }

  /** The segment that the thread appends to; 0 for none. */
  setSegment(id: number): void {
    Atomics.store(this.#cells, this.#at + SLOT.segment, id);
  }

  /** The segment that GC wants: the thread must not append to it any more. To be asked after {@link TaskSlot.starting}. */
  get giveUp(): number {
    return Atomics.load(this.#cells, this.#at + SLOT.giveUp);
  }
}

/** The slots as GC sees them, from another thread. */
export class TaskSlots {
  readonly #cells: Int32Array;

  constructor(slots: SharedArrayBuffer) {
    this.#cells = new Int32Array(slots);
  }

  /** The thread died in a task; 0: none did, it never began or has ended by itself. */
  clear(slot: number): void {
    if (slot !== 0) Atomics.store(this.#cells, slotAt(slot) + SLOT.task, IDLE);
  }

  /** Epoch under which the oldest task began: every task has seen what was committed with it. Infinity when there is no task. */
  oldestEpoch(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const at of this.#used()) {
      const task = Atomics.load(this.#cells, at + SLOT.task);
      if (task === IDLE || nowS() - Atomics.load(this.#cells, at + SLOT.beganS) > TASK_LIFE_S) continue;
      oldest = Math.min(oldest, task);
    }
    return oldest;
  }

  /**
   * Takes a segment away from the thread that has it open; false while that thread is in a task, which may append to it: ask again
   * later. A thread that begins a task afterwards sees that it has to let go, because it says so before it looks, and this looks after
   * it has said what it wants.
   */
  takeSegment(id: number): boolean {
    for (const at of this.#used()) {
      if (Atomics.load(this.#cells, at + SLOT.segment) !== id) continue;
      Atomics.store(this.#cells, at + SLOT.giveUp, id);
      if (Atomics.load(this.#cells, at + SLOT.task) !== IDLE) return false;
    }
    return true;
  }

  *#used(): Generator<number> {
    const used = Math.min(Atomics.load(this.#cells, 0), SLOTS);
    for (let slot = 1; slot <= used; slot++) yield slotAt(slot);
  }
}

function slotAt(slot: number): number {
  return 1 + (slot - 1) * SLOT.length;
}

/** Wraps in 2038 as an Int32; only differences are used. */
function nowS(): number {
  return Math.floor(Date.now() / 1000) | 0;
}
