import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";

/**
 * A new folder below the system's temporary one; its path has no symlink. It is removed when the test process ends:
 * `t.after` runs first what was registered first, and would take it from under the servers that a test started in it.
 */
export function tempFolder(): string {
  const folder = realpathSync(mkdtempSync(path.join(os.tmpdir(), "granary-test-")));
  if (folders.length === 0) process.once("exit", removeAll);
  folders.push(folder);
  return folder;
}

const folders: string[] = [];

function removeAll(): void {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
