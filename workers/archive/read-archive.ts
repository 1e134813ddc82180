import { GranaryError } from "../../proto/errors.ts";
import type { ArchiveLimits } from "../../proto/limits.ts";
import type { BuiltTree } from "../../proto/tree-builder.ts";
import type { ArchiveSink } from "./archive-sink.ts";
import type { ByteSource } from "./byte-source.ts";
import { gunzip } from "./gunzip.ts";
import { TarReader } from "./tar-reader.ts";

export type { ArchiveSink } from "./archive-sink.ts";
export { type ByteSource, bufferSource, fileSource } from "./byte-source.ts";

export interface ArchiveReport {
  readonly tree: BuiltTree;
  /** Entries of the archive, metadata headers not counted. */
  readonly entries: number;
  /** Length of the tar stream. */
  readonly expandedBytes: number;
  /** Length of what was read from the source. */
  readonly compressedBytes: number;
}

/** Progress is told at most once per this many expanded bytes. */
const PROGRESS_BYTES = 1024 * 1024;

/**
 * Reads a .tar.gz in one synchronous pass and accepts a grammar so narrow that whatever comes through
 * lists the same (path, type, size, sha256) in GNU tar, bsdtar, Python's tarfile and node-tar. Content reaches the sink
 * before its gzip member's crc is known, so nothing may be kept unless this function returns.
 *
 * `strip` removes that many leading segments of every path and of hardlink targets, not of symlink targets; directories that
 * vanish are skipped, a file or link that would vanish is an error (USAGE), because skipping it would lose content.
 *
 * @throws GranaryError ARCHIVE_* with `offset` (of the entry's header in the tar stream, or where reading stopped), `path`
 *   where an entry is at fault, `actual` and `limit` where a limit is; USAGE for a `strip` that goes too far
 */
export function readArchive(
  source: ByteSource,
  options: {
    limits: ArchiveLimits;
    portableNames: boolean;
    strip?: number;
    sink: ArchiveSink;
    onProgress?: (expandedBytes: number) => void;
  },
): ArchiveReport {
  const { limits, onProgress } = options;
  const strip = options.strip ?? 0;
  if (!Number.isSafeInteger(strip) || strip < 0)
    throw new GranaryError("USAGE", `cannot strip ${strip} segments`);
  const reader = new TarReader({ ...options, strip });
  let seenBytes = 0;
  let toldBytes = 0;
  try {
    const { expandedBytes, compressedBytes } = gunzip(source, limits, (window) => {
      reader.push(window);
      seenBytes += window.length;
      if (onProgress !== undefined && seenBytes - toldBytes >= PROGRESS_BYTES) {
        toldBytes = seenBytes;
        onProgress(seenBytes);
      }
    });
    return { tree: reader.finish(), entries: reader.entryCount, expandedBytes, compressedBytes };
  } catch (error) {
    throw located(error, seenBytes);
  }
}

/** Errors of the gzip stream and of the whole tree happen where reading stopped. */
function located(error: unknown, offset: number): unknown {
  if (
    !(error instanceof GranaryError) ||
    !error.code.startsWith("ARCHIVE_") ||
    error.detail["offset"] !== undefined
  )
    return error;
  return new GranaryError(error.code, error.message, { ...error.detail, offset }, { cause: error });
}
