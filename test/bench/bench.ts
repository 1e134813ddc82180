import type { Corpus } from "./corpus.ts";
import type { Section } from "./row.ts";

/** What every measurement is given. */
export interface Bench {
  /** Everything is made below it, and nothing is removed before the end: mass deletes slow down what comes after them. */
  readonly folder: string;
  readonly corpus: Corpus;
  /** Archives of the corpus with another 1 % of its files changed: at least as many as rounds. */
  readonly changed: readonly string[];
  /**
   * Archives of the corpus that a farm takes in before it is measured, as one that is in service has: its first publishes take up to twice
   * as long as its tenth (the 2nd to 4th 339 ms, the 5th to 8th 214, later ones 176 to 189), since its code is compiled as it runs.
   */
  readonly warmUp: readonly string[];
  readonly rounds: number;
  readonly full: boolean;
  /** Blobs that the store grows to. */
  readonly blobs: number;
  /** Jobs that the queue grows to. */
  readonly queued: number;
  /** Where peers and fetched packages are kept between runs. */
  readonly cacheFolder: string;
}

export interface Measurement {
  /** For `--only`, and the name of its folder. */
  readonly name: string;
  readonly isFullOnly?: boolean;
  measure(bench: Bench): Promise<readonly Section[]>;
}
