import fs from "node:fs";
import { join } from "node:path";
import { ifPresent } from "./fs.ts";

const BLOCK_BYTES = 512;

/** What a file, or a folder with all that is in it, takes of the disk: holes take nothing. 0 when it is not there. */
export function diskBytesOf(path: string): number {
  const stat = fs.lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() !== true) return (stat?.blocks ?? 0) * BLOCK_BYTES;
  const names = ifPresent(() => fs.readdirSync(path)) ?? [];
  return names.reduce((sum, name) => sum + diskBytesOf(join(path, name)), 0);
}
