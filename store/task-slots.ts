/** Threads that live at a time, with room for those that died between two tasks, whose slots nobody gives back. */
const SLOTS = 1_024;
/** Int32 cells of a slot. */
const SLOT = { task: 0, beganS: 1, segment: 2, giveUp: 3, taken: 4, length: 5 } as const;
const IDLE = 0;
/** The task has begun, but its snapshot of the index is not taken yet. */
const STARTING = -1;
/** No task lives that long (LIMITS has 10 minutes): its thread died, and nobody said so. */
const TASK_LIFE_S = 3_600;

/** Shared by all threads of a store. */
export function createTaskSlots(): SharedArrayBuffer {
  return new SharedArrayBuffer(SLOTS * SLOT.length * Int32Array.BYTES_PER_ELEMENT);
}

/** What a thread says about itself, so that GC takes nothing away from under it. */
export class TaskSlot {
  /** From 1 on. */
  readonly number: number;
  readonly #cells: Int32Array;
  readonly #at: number;

  constructor(slots: SharedArrayBuffer) {
    this.#cells = new Int32Array(slots);
    this.number = takeSlot(this.#cells);
    this.#at = slotAt(this.number);
  }

  /** Gives the slot back: between two tasks, by a thread that begins no other. */
  release(): void {
    freeSlot(this.#cells, this.number);
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
    if (slot !== 0) freeSlot(this.#cells, slot);
  }

  /** Epoch under which the oldest task began: every task has seen what was committed with it. Infinity when there is no task. */
  oldestEpoch(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const at of slotsAt()) {
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
    for (const at of slotsAt()) {
      if (Atomics.load(this.#cells, at + SLOT.segment) !== id) continue;
      Atomics.store(this.#cells, at + SLOT.giveUp, id);
      if (Atomics.load(this.#cells, at + SLOT.task) !== IDLE) return false;
    }
    return true;
  }
}

/** Two threads must never share one: each would call the other's task ended. */
function takeSlot(cells: Int32Array): number {
  for (let slot = 1; slot <= SLOTS; slot++)
    if (Atomics.compareExchange(cells, slotAt(slot) + SLOT.taken, 0, 1) === 0) return slot;
  throw new RangeError(`all ${SLOTS} slots of threads are taken`);
}

function freeSlot(cells: Int32Array, slot: number): void {
  for (const cell of [SLOT.task, SLOT.segment, SLOT.giveUp, SLOT.taken])
    Atomics.store(cells, slotAt(slot) + cell, 0);
}

function slotAt(slot: number): number {
  return (slot - 1) * SLOT.length;
}

/** Those that nobody has taken are idle. */
function* slotsAt(): Generator<number> {
  for (let slot = 1; slot <= SLOTS; slot++) yield slotAt(slot);
}

/** Wraps in 2038 as an Int32; only differences are used. */
function nowS(): number {
  return Math.floor(Date.now() / 1000) | 0;
}
