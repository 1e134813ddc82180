import { randomUUID } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";
import { digestFromHex, digestHex } from "../proto/digest.ts";
import { GranaryError } from "../proto/errors.ts";
import { parseTree, summarizeTree, type TreeEntry } from "../proto/tree.ts";
import { type MaterializeResult, type MaterializeTask, TASK_CELL } from "../proto/worker-tasks.ts";
import { checkTreeFolder, looksLikeTree } from "../store/check-tree-folder.ts";
import { assertRoomOf, CONTENT_RESERVE, roomOf } from "../store/disk-room.ts";
import type { TaskWriter } from "../store/task-writer.ts";
import type { ThreadStore } from "../store/thread-store.ts";
import { looksUntouched, TreeFolder } from "../store/tree-folder.ts";
import { LinkSources } from "./link-sources.ts";
import { stopWhenCancelled } from "./stop-when-cancelled.ts";

/**
 * Makes a stored tree a folder below the project's roots: files that the newest root of the project has are hard links to it (link
 * key: digest and executable bit), the others are written; all in staging, then renamed. A root that is there already is the
 * answer if its inodes tell nothing else; one from before the machine's last start is read again first, because nothing here is synced.
 * @throws GranaryError BLOB_UNKNOWN, STORE_CORRUPT, STORE_FULL, STORE_IO
 */
export function materializeTree(task: MaterializeTask, store: ThreadStore): MaterializeResult {
  const writer = store.beginTask(task.cell);
  try {
    return new Materializer(task, writer).run();
  } finally {
    writer.abandon();
  }
}

/** Says that a root is whole, and since which start of the machine: the last that is written of it, beside it. */
interface RootMark {
  readonly boot: string;
}

/** Between two looks at the disk, which cost 3 us. */
const ROOM_BYTES = 4 * 1024 * 1024;
const ROOM_FILES = 64;

class Materializer {
  readonly #task: MaterializeTask;
  readonly #writer: TaskWriter;
  readonly #cells: Float64Array;
  readonly #name: string;
  readonly #path: string;
  #linked = 0;
  #written = 0;
  #writtenBytes = 0;
  /** What may be written before the disk is asked again. */
  #roomBytes = 0;
  #roomFiles = 0;

  constructor(task: MaterializeTask, writer: TaskWriter) {
    this.#task = task;
    this.#writer = writer;
    this.#cells = new Float64Array(task.cell);
    this.#name = digestHex(task.tree);
    this.#path = join(task.projectDir, this.#name);
  }

  run(): MaterializeResult {
    const entries = parseTree(this.#writer.readBlob(this.#task.tree));
    const existing = this.#isWhole(entries);
    if (!existing) this.#make(entries);
    const { fileCount } = summarizeTree(entries);
    return {
      path: this.#path,
      existing,
      files: fileCount,
      linked: this.#linked,
      written: this.#written,
      writtenBytes: this.#writtenBytes,
    };
  }

  #isWhole(entries: readonly TreeEntry[]): boolean {
    const mark = this.#markOf(this.#name);
    const isThere = fs.existsSync(this.#path);
    const tick = (): void => this.#tick();
    if (isThere && mark?.boot === this.#task.boot && looksLikeTree(this.#path, entries, tick)) return true;
    fs.rmSync(this.#markPath(this.#name), { force: true });
    if (!isThere) return false;
    if (checkTreeFolder(this.#path, entries, tick) === undefined) {
      this.#mark();
      return true;
    }
    // Its files may be those of other roots: none of them is a source of links before it has been read again.
    for (const { name } of this.#markedRoots()) fs.rmSync(this.#markPath(name), { force: true });
    fs.rmSync(this.#path, { recursive: true, force: true });
    return false;
  }

  #make(entries: readonly TreeEntry[]): void {
    const staging = join(this.#task.stagingDir, `${this.#name}-${randomUUID()}`);
    try {
      onDisk(this.#name, () => {
        fs.mkdirSync(this.#task.stagingDir, { recursive: true });
        fs.mkdirSync(this.#task.projectDir, { recursive: true });
        this.#fill(new TreeFolder(staging), staging, entries);
        fs.renameSync(staging, this.#path);
        this.#mark();
      });
    } catch (error) {
      fs.rmSync(staging, { recursive: true, force: true });
      throw error;
    }
  }

  #fill(folder: TreeFolder, staging: string, entries: readonly TreeEntry[]): void {
    const sources = this.#sourcesOfNewest();
    for (const entry of entries) {
      this.#tick();
      if (entry.type === "directory") folder.directory(entry.path);
      else if (entry.type === "symlink") folder.symlink(entry.path, entry.target);
      else {
        const source = sources.find(entry);
        if (source !== undefined && looksUntouched(source, entry) && folder.link(source, entry.path)) {
          this.#linked += 1;
          continue;
        }
        this.#needRoom(entry.size);
        folder.file(entry.path, entry.executable, this.#writer.readBlob(entry.digest));
        this.#written += 1;
        this.#writtenBytes += entry.size;
        sources.add(entry, staging);
      }
    }
  }

  /**
   * What is kept for the pointer and for publishes is not for roots, which can be made again: it is looked at before files are written,
   * again and again, because others write meanwhile.
   */
  #needRoom(bytes: number): void {
    this.#roomBytes -= bytes;
    this.#roomFiles -= 1;
    if (this.#roomBytes >= 0 && this.#roomFiles >= 0) return;
    const room = roomOf(this.#task.stagingDir);
    const rest = { ...room, freeBytes: room.freeBytes - bytes };
    assertRoomOf(rest, CONTENT_RESERVE, `the root ${this.#name}`);
    this.#roomBytes = ROOM_BYTES;
    this.#roomFiles = ROOM_FILES;
  }

  /** The files of the project's newest whole root. */
  #sourcesOfNewest(): LinkSources {
    const sources = new LinkSources();
    const newest = this.#markedRoots().find(({ name }) => this.#writer.has(digestFromHex(name)));
    if (newest === undefined) return sources;
    const dir = join(this.#task.projectDir, newest.name);
    for (const entry of parseTree(this.#writer.readBlob(digestFromHex(newest.name))))
      if (entry.type === "file") sources.add(entry, dir);
    return sources;
  }

  /** Roots of this start of the machine, newest first. */
  #markedRoots(): { name: string; madeMs: number }[] {
    return fs
      .readdirSync(this.#task.projectDir)
      .flatMap((file) => {
        const name = /^([0-9a-f]{64})\.json$/.exec(file)?.[1];
        if (name === undefined || this.#markOf(name)?.boot !== this.#task.boot) return [];
        // A sweep takes marks away at any time.
        const stat = fs.statSync(this.#markPath(name), { throwIfNoEntry: false });
        return stat === undefined ? [] : [{ name, madeMs: stat.mtimeMs }];
      })
      .sort((a, b) => b.madeMs - a.madeMs);
  }

  #markOf(name: string): RootMark | undefined {
    try {
      return JSON.parse(fs.readFileSync(this.#markPath(name), "utf8")) as RootMark;
    } catch {
      return undefined;
    }
  }

  #mark(): void {
    const path = this.#markPath(this.#name);
    const mark: RootMark = { boot: this.#task.boot };
    fs.writeFileSync(`${path}.new`, JSON.stringify(mark));
    fs.renameSync(`${path}.new`, path);
  }

  #markPath(name: string): string {
    return join(this.#task.projectDir, `${name}.json`);
  }

  #tick(): void {
    stopWhenCancelled(this.#cells);
    this.#cells[TASK_CELL.progress] = (this.#cells[TASK_CELL.progress] ?? 0) + 1;
  }
}

function onDisk(name: string, call: () => void): void {
  try {
    call();
  } catch (cause) {
    const errno = (cause as NodeJS.ErrnoException).code;
    if (cause instanceof GranaryError || errno === undefined) throw cause;
    const code = errno === "ENOSPC" || errno === "EDQUOT" ? "STORE_FULL" : "STORE_IO";
    throw new GranaryError(
      code,
      `the root ${name} could not be written: ${errno}`,
      { name, errno },
      { cause },
    );
  }
}
