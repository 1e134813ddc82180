import { createRequire } from "node:module";

/**
 * lmdb's `open`, from its CommonJS build: the same code in one file. As ES modules it took 36 ms of CPU to load in each thread
 * (five of a farm), this takes 21.
 */
export const { open: openLmdb } = createRequire(import.meta.url)("lmdb") as typeof import("lmdb");
