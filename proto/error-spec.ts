/** Exit codes of the CLI (contracts: 0-3 as in Karapace). */
export const EXIT = {
  ok: 0,
  other: 1,
  manifest: 2,
  store: 3,
  usage: 4,
  unauthorized: 5,
  notFound: 6,
  conflict: 7,
  archive: 8,
  build: 9,
  unavailable: 10,
  cancelled: 11,
  limit: 12,
  overtaken: 13,
  timedOut: 14,
  mismatch: 15,
  interrupted: 130,
} as const;

/** What follows from a code, wherever it appears. */
export interface CodeSpec {
  readonly http: number;
  readonly exit: number;
  readonly retryable: boolean;
  /** What went wrong, as a sentence without the particulars. */
  readonly title: string;
  /** What to do next. */
  readonly hint: string;
}

/** A code of an archive that is refused. */
export function rejected(title: string, hint: string, http = 422): CodeSpec {
  return spec(http, EXIT.archive, false, title, hint);
}

export function spec(http: number, exit: number, retryable: boolean, title: string, hint: string): CodeSpec {
  return { http, exit, retryable, title, hint };
}
