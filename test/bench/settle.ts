import { execFileSync } from "node:child_process";

/** Writes out what earlier rounds left dirty, so that nobody is measured while the disk still works for another. */
export function settle(folder: string): void {
  execFileSync("sync", ["-f", folder]);
}
