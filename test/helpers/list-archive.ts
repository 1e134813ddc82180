import { createHash } from "node:crypto";
import { digestFromBytes } from "../../proto/digest.ts";
import { ARCHIVE_LIMITS, type ArchiveLimits } from "../../proto/limits.ts";
import {
  type ArchiveReport,
  type ArchiveSink,
  bufferSource,
  readArchive,
} from "../../workers/archive/read-archive.ts";

export interface ListOptions {
  readonly limits?: Partial<ArchiveLimits>;
  readonly portableNames?: boolean;
  readonly strip?: number;
}

/** Reads an archive from memory with a sink that only hashes. @throws GranaryError as {@link readArchive} */
export function listArchive(bytes: Uint8Array, options: ListOptions = {}): ArchiveReport {
  return readArchive(bufferSource(bytes), {
    limits: { ...ARCHIVE_LIMITS, ...options.limits },
    portableNames: options.portableNames ?? false,
    strip: options.strip ?? 0,
    sink: hashingSink(),
  });
}

/** A sink that keeps nothing but digests. */
export function hashingSink(): ArchiveSink {
  let hash = createHash("sha256");
  return {
    beginFile() {
      hash = createHash("sha256");
    },
    fileData(chunk) {
      hash.update(chunk);
    },
    endFile: () => digestFromBytes(hash.digest()),
  };
}
