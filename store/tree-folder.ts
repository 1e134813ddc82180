import fs from "node:fs";
import { writeAllSync } from "./fs.ts";

/** Nobody writes into a materialized file: others may share it by hard links. */
const FILE_MODE = 0o444;
const EXECUTABLE_MODE = 0o555;
const FOLDER_MODE = 0o755;
/** Every file's modification time: whoever writes into one gives it another. */
const MTIME_S = 0;
const IF_THERE = { throwIfNoEntry: false } as const;

/** A tree on its way to becoming a folder. Paths come from a canonical tree: relative, inside, and never below a symlink. */
export class TreeFolder {
  readonly #dir: string;
  readonly #made = new Set<string>();

  /** Makes `dir`, which must not exist. */
  constructor(dir: string) {
    this.#dir = dir;
    fs.mkdirSync(dir, { mode: FOLDER_MODE });
  }

  file(path: string, executable: boolean, bytes: Uint8Array): void {
    const fd = this.open(path);
    try {
      writeAllSync(fd, bytes, 0);
      seal(fd, executable);
    } finally {
      fs.closeSync(fd);
    }
  }

  /** A file that is written in pieces; {@link TreeFolder.close} ends it. */
  open(path: string): number {
    this.#folderOf(path);
    return fs.openSync(this.#at(path), "wx", 0o600);
  }

  close(fd: number, executable: boolean): void {
    try {
      seal(fd, executable);
    } finally {
      fs.closeSync(fd);
    }
  }

  /** Answers whether the file could be linked; if not, it has to be written (EMLINK: a file system's limit of links). */
  link(source: string, path: string): boolean {
    this.#folderOf(path);
    try {
      fs.linkSync(source, this.#at(path));
      return true;
    } catch {
      return false;
    }
  }

  symlink(path: string, target: string): void {
    this.#folderOf(path);
    fs.symlinkSync(target, this.#at(path));
  }

  directory(path: string): void {
    if (this.#made.has(path)) return;
    this.#folderOf(path);
    fs.mkdirSync(this.#at(path), { mode: FOLDER_MODE });
    this.#made.add(path);
  }

  #folderOf(path: string): void {
    const end = path.lastIndexOf("/");
    if (end < 0) return;
    const folder = path.slice(0, end);
    if (!this.#made.has(folder)) this.directory(folder);
  }

  /** Not `join`, which costs 1 us for each of the two paths of a link: there is nothing to normalize. */
  #at(path: string): string {
    return `${this.#dir}/${path}`;
  }
}

function seal(fd: number, executable: boolean): void {
  fs.fchmodSync(fd, executable ? EXECUTABLE_MODE : FILE_MODE);
  fs.futimesSync(fd, MTIME_S, MTIME_S);
}

/** Whether a file is as {@link TreeFolder} left it, as far as its inode tells: 2 us, where hashing costs the file. */
export function looksUntouched(path: string, of: { size: number; executable: boolean }): boolean {
  const stat = fs.lstatSync(path, IF_THERE);
  return (
    stat?.isFile() === true &&
    stat.size === of.size &&
    stat.mtimeMs === MTIME_S * 1000 &&
    (stat.mode & 0o777) === (of.executable ? EXECUTABLE_MODE : FILE_MODE)
  );
}
