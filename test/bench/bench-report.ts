import type { Section } from "./row.ts";

/** What `--json` writes. */
export interface BenchReport {
  /** YYYY-MM-DD */
  readonly date: string;
  /** What to type to get another one. */
  readonly command: string;
  readonly machine: string;
  readonly corpus: {
    readonly name: string;
    readonly files: number;
    readonly bytes: number;
    readonly archiveBytes: number;
  };
  readonly sections: readonly Section[];
}
