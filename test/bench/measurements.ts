import type { Measurement } from "./bench.ts";
import { measureActivation } from "./measure-activation.ts";
import { measureArchives } from "./measure-archives.ts";
import { measureCost } from "./measure-cost.ts";
import { measureDirectory } from "./measure-directory.ts";
import { measureGrowth } from "./measure-growth.ts";
import { measureIdentical } from "./measure-identical.ts";
import { measureLarge } from "./measure-large.ts";
import { measureLoad } from "./measure-load.ts";
import { measureMaterialize } from "./measure-materialize.ts";
import { measurePairs } from "./measure-pairs.ts";
import { measureQueue } from "./measure-queue.ts";
import { CONTESTANTS } from "./peers/all.ts";

/** A contestant that has been measured for longer than this has no more rounds, so that slow ones do not fill the run. */
const LIMIT_MS = 6_000;
const FULL_LIMIT_MS = 120_000;

/** Everything, in the order of the report. */
export const MEASUREMENTS: readonly Measurement[] = [
  { name: "directory", measure: async (bench) => [await measureDirectory(bench)] },
  {
    name: "archives",
    measure: (bench) =>
      measureArchives({
        ...bench,
        contestants: CONTESTANTS,
        limitMs: bench.full ? FULL_LIMIT_MS : LIMIT_MS,
        title: "Archive publish",
        warmReach: 1.5,
      }),
  },
  {
    name: "cost",
    measure: async (bench) => [
      await measureCost({ ...bench, rounds: 3, title: "What an archive publish costs" }),
    ],
  },
  { name: "identical", measure: async (bench) => [await measureIdentical(bench)] },
  { name: "load", measure: async (bench) => [await measureLoad(bench)] },
  { name: "activation", measure: async (bench) => [await measureActivation(bench)] },
  { name: "materialize", measure: async (bench) => [await measureMaterialize(bench)] },
  { name: "queue", measure: async (bench) => [await measureQueue(bench)] },
  { name: "pairs", isFullOnly: true, measure: async (bench) => [await measurePairs(bench)] },
  { name: "large", isFullOnly: true, measure: measureLarge },
  { name: "growth", isFullOnly: true, measure: async (bench) => [await measureGrowth(bench)] },
];
