import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statfsSync } from "node:fs";
import path from "node:path";
import { GranaryError } from "../../proto/errors.ts";
import type { BackupManifest } from "./backup-manifest.ts";
import { syncFile } from "./sync-file.ts";

/** While it is there, what lies beside it is not a farm yet. */
const STAGING = ".restoring";
/** What an empty data folder may have: our own lock, and what ext4 puts into the root of a file system. */
const IGNORED = /^(?:farm\.lock\..*|lost\+found)$/;

/**
 * The data folder of a restore. All is staged inside of it, because it may be a mount point, whose name nothing can take, below a folder
 * that nobody may write to. What is verified then moves up, and the staging folder goes last: it marks a folder that is not
 * whole, which a farm refuses ({@link refuseUnfinishedRestore}) and the next restore begins anew.
 */
export class RestoreFolder {
  readonly staged: string;
  readonly #dataDir: string;
  readonly #names: ReadonlySet<string>;

  /** @throws GranaryError STATE_CONFLICT when there is something in it */
  constructor(dataDir: string, { files }: BackupManifest) {
    this.#dataDir = dataDir;
    this.staged = path.join(dataDir, STAGING);
    this.#names = new Set(files.map((file) => file.path.split("/")[0] ?? ""));
    const isUnfinished = existsSync(this.staged);
    const others = readdirSync(dataDir).filter(
      (name) => !IGNORED.test(name) && name !== STAGING && !(isUnfinished && this.#names.has(name)),
    );
    if (others.length === 0) return;
    const message = `${dataDir} is not empty (${others[0]}): a backup is restored into a new data folder`;
    throw new GranaryError("STATE_CONFLICT", message, {
      data: dataDir,
      hint: "Name another folder with --data.",
    });
  }

  /** @throws GranaryError STORE_FULL when `bytes` have no room */
  begin(bytes: number): void {
    this.abandon();
    const { bavail, bsize } = statfsSync(this.#dataDir);
    const free = bavail * bsize;
    if (free < bytes)
      throw new GranaryError(
        "STORE_FULL",
        `${this.#dataDir} has room for ${free} bytes, the backup has ${bytes}`,
        {
          free_bytes: free,
          needed_bytes: bytes,
        },
      );
    mkdirSync(this.staged, { mode: 0o700 });
    syncFile(this.#dataDir);
  }

  finish(): void {
    syncFile(this.staged);
    for (const name of readdirSync(this.staged))
      renameSync(path.join(this.staged, name), path.join(this.#dataDir, name));
    syncFile(this.#dataDir);
    rmSync(this.staged, { recursive: true });
    syncFile(this.#dataDir);
  }

  /** What has moved up goes first: without the staging folder it would look like a farm. */
  abandon(): void {
    if (!existsSync(this.staged)) return;
    for (const name of this.#names) rmSync(path.join(this.#dataDir, name), { recursive: true, force: true });
    rmSync(this.staged, { recursive: true, force: true });
  }
}

/** @throws GranaryError STATE_CONFLICT for the data folder of a restore that did not come to its end */
export function refuseUnfinishedRestore(dataDir: string): void {
  if (!existsSync(path.join(dataDir, STAGING))) return;
  throw new GranaryError("STATE_CONFLICT", `a restore into ${dataDir} was broken off`, {
    data: dataDir,
    hint: `Run it again: granary restore DIR --data ${dataDir}`,
  });
}
