import { readSync } from "node:fs";

/** Where compressed bytes come from, pulled synchronously. */
export interface ByteSource {
  /** Fills `into` from its start; answers how many bytes it wrote, 0 at the end and only there. */
  read(into: Uint8Array): number;
}

/** A source over bytes in memory, which must not change until the reader is done. */
export function bufferSource(bytes: Uint8Array): ByteSource {
  let at = 0;
  return {
    read(into) {
      const part = bytes.subarray(at, at + into.byteLength);
      into.set(part);
      at += part.byteLength;
      return part.byteLength;
    },
  };
}

/** A source over an open file, from its current position; the caller closes it. @throws the file system's own errors */
export function fileSource(fd: number): ByteSource {
  return { read: (into) => readSync(fd, into, 0, into.byteLength, null) };
}
