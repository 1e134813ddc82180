import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import path from "node:path";
import { makeFolder } from "../../shared/make-folder.ts";

/** Replaces a file at once, readable by its owner only: staging, fsync, rename, fsync of the directory. */
export function writePrivateFile(file: string, text: string): void {
  const directory = path.dirname(file);
  makeFolder(directory);
  const staging = `${file}.${process.pid}.tmp`;
  rmSync(staging, { force: true });
  const handle = openSync(staging, "wx", 0o600);
  try {
    writeSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(staging, file);
  const parent = openSync(directory, "r");
  try {
    fsyncSync(parent);
  } finally {
    closeSync(parent);
  }
}
