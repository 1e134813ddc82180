import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { GranaryError } from "../../proto/errors.ts";

/**
 * Makes a folder and those above it, for their owner only. Where nothing can be made, as below /proc, it fails: Node's own
 * `recursive` goes round for ever there (ENOENT for a folder whose parent is there).
 * @throws GranaryError USAGE
 */
export function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  const parent = dirname(folder);
  if (parent !== folder) makeFolder(parent);
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Another process was faster.
    if (code === "EEXIST") return;
    const hint = "Name a place that can be written to.";
    throw new GranaryError(
      "USAGE",
      `the folder ${folder} cannot be made: ${code}`,
      { folder, hint },
      { cause: error },
    );
  }
}
