import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { open } from "node:fs/promises";
import path from "node:path";

const BLOCK_BYTES = 1024 * 1024;

/** Copies a file as long as it is at the start, and syncs the copy. @returns size and sha256 (hex) of what was copied */
export async function copyHashed(from: string, to: string): Promise<{ size: number; sha256: string }> {
  mkdirSync(path.dirname(to), { recursive: true, mode: 0o700 });
  const source = await open(from, "r");
  try {
    const target = await open(to, "w", 0o600);
    try {
      const { size } = await source.stat();
      const hash = createHash("sha256");
      const block = Buffer.allocUnsafe(BLOCK_BYTES);
      let done = 0;
      while (done < size) {
        const { bytesRead } = await source.read(block, 0, Math.min(BLOCK_BYTES, size - done), done);
        if (bytesRead === 0) break;
        const bytes = block.subarray(0, bytesRead);
        hash.update(bytes);
        await target.writeFile(bytes);
        done += bytesRead;
      }
      await target.sync();
      return { size: done, sha256: hash.digest("hex") };
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}
