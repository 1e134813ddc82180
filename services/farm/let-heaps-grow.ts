import { setFlagsFromString } from "node:v8";

/** From which size on V8 marks the whole heap of a thread for the first time. It would begin at less than the 20 MB that a worker thread remembers. */
const FIRST_MIB = 64;
/**
 * How much a heap may grow, in percent of what was live, before V8 marks all of it again. A thread whose heap is limited to 512 MiB gets
 * 40 by default, buffers counted: what it remembers would be marked every third publish of 3,448 files.
 */
const GROWTH_PERCENT = 200;

/** Fewer collections for more memory, in every thread of this process; the limit of a heap stays what it is. docs/bench.md has what it brings. */
export function letHeapsGrow(): void {
  setFlagsFromString(`--initial-old-space-size=${FIRST_MIB}`);
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`);
}
