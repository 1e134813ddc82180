import type { BigIntStats } from "node:fs";

/**
 * What tells that a file is still the one that was looked at: whoever changes its content changes one of these, except within one
 * tick of the file system's clock.
 */
export interface FileIdentity {
  /** Size, mtime, ctime and inode as one text. */
  readonly text: string;
  /** Newest of mtime and ctime, in nanoseconds since the epoch. */
  readonly changedNs: bigint;
}

export function fileIdentity({ size, mtimeNs, ctimeNs, ino }: BigIntStats): FileIdentity {
  return {
    text: `${size}-${mtimeNs}-${ctimeNs}-${ino}`,
    changedNs: mtimeNs > ctimeNs ? mtimeNs : ctimeNs,
  };
}
