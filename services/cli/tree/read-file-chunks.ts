import { open } from "node:fs/promises";
import { quote } from "../../../proto/entry-path.ts";
import { GranaryError } from "../../../proto/errors.ts";

/** 256 KiB: larger reads leave the cache before they are hashed. */
const CHUNK_BYTES = 256 * 1024;

/**
 * The content of a file that was listed with `sizeBytes`, in chunks that stay valid.
 * @throws GranaryError STATE_CONFLICT when it has another size by now
 */
export async function* readFileChunks(options: {
  file: string;
  path: string;
  sizeBytes: number;
}): AsyncGenerator<Buffer, void, undefined> {
  const { file, path, sizeBytes } = options;
  const changed = (): GranaryError =>
    new GranaryError("STATE_CONFLICT", `${quote(path)} changed while it was read; run it again`, { path });
  const handle = await open(file).catch((cause: unknown) => {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
    throw new GranaryError("USAGE", `${quote(path)} cannot be read (${code})`, { path }, { cause });
  });
  try {
    let left = sizeBytes;
    while (left > 0) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(Math.min(CHUNK_BYTES, left)));
      if (bytesRead === 0) throw changed();
      left -= bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
    const { size } = await handle.stat();
    if (size !== sizeBytes) throw changed();
  } finally {
    await handle.close();
  }
}
