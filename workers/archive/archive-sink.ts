import type { Digest } from "../../proto/digest.ts";

/** Takes the contents of an archive's regular files, one after the other. */
export interface ArchiveSink {
  /** A regular file begins; `wanted` is what TreeBuilder.add answered. Called only after all checks on the header. */
  beginFile(entry: { path: string; executable: boolean; size: number; wanted: boolean }): void;
  /** `size` bytes in all. Views into a reused window: copy what you keep. */
  fileData(chunk: Uint8Array): void;
  /** Answers the digest of the content, or undefined if it was not wanted. */
  endFile(): Digest | undefined;
}
