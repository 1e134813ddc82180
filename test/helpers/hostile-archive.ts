import type { ErrorCode } from "../../proto/errors.ts";
import type { ArchiveLimits } from "../../proto/limits.ts";

/** An archive that must be refused, and how. */
export interface HostileArchive {
  /** Reads behind "refuses ". */
  readonly name: string;
  readonly code: ErrorCode;
  readonly bytes: () => Buffer;
  /** What the error's detail must say beside `offset`, which is always there. */
  readonly detail?: Readonly<Record<string, string | number>>;
  /** Limits below the defaults, where reaching those would take gigabytes; such archives are fine at the defaults. */
  readonly limits?: Partial<ArchiveLimits>;
  /** Takes seconds of a core: the reader's tests refuse it each time, a farm in test/long only. */
  readonly isSlow?: true;
}
