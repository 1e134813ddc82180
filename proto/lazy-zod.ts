import { createRequire } from "node:module";

/** zod for what is seldom checked: it takes 60 ms of CPU of each thread that loads it, which is a third of what a worker thread needs to start. */
export function lazyZod(): typeof import("zod") {
  return require("zod") as typeof import("zod");
}

const require = createRequire(import.meta.url);
