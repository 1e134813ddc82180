import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { parseSessionLine, type UploadSession } from "../../proto/upload-session.ts";

const HEAD_BYTES = 64 * 1024;
const LINE_FEED = 10;

/**
 * What an upload session is about: the first line of its file. undefined when there is no such file, or a flipped bit has made another line
 * of it: such a session is as good as none, and must not keep a farm from starting.
 */
export function readSession(path: string): UploadSession | undefined {
  const head = readHead(path);
  if (head === undefined) return undefined;
  try {
    return parseSessionLine(head);
  } catch {
    return undefined;
  }
}

function readHead(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  const fd = openSync(path, "r");
  try {
    const head = Buffer.allocUnsafe(HEAD_BYTES);
    const bytes = head.subarray(0, readSync(fd, head, 0, HEAD_BYTES, 0));
    const end = bytes.indexOf(LINE_FEED);
    return end < 0 ? undefined : bytes.toString("utf8", 0, end);
  } finally {
    closeSync(fd);
  }
}
