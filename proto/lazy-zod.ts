import { createRequire } from "node:module";

/** zod for what is seldom checked: it takes 60 ms of CPU of each thread that loads it, which was half of what a worker thread needed to start. */
export function lazyZod(): typeof import("zod") {
  return require("zod") as typeof import("zod");
}

const require = createRequire(import.meta.url);
