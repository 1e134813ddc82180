import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import path from "node:path";
import { GranaryError } from "../../proto/errors.ts";
import { rebuildIndex } from "../../store/rebuild-index.ts";
import { openStore, type StoreLog } from "../../store/store.ts";
import { checkBackupFiles } from "./backup-files.ts";
import { type BackupManifest, readManifest } from "./backup-manifest.ts";
import { contentRoots } from "./content-roots.ts";
import { copyHashed } from "./copy-hashed.ts";
import { damagedBackup } from "./damaged-backup.ts";
import { lockDataDir } from "./data-lock.ts";
import { markReseed } from "./reseed-mark.ts";
import { RestoreFolder } from "./restore-folder.ts";
import { DATA_FILE, openStateWriter, type StateWriter } from "./state-db.ts";
import { stateDigest } from "./state-db-digest.ts";
import { probeState } from "./state-db-probe.ts";

export interface RestoreResult {
  readonly seq: number;
  readonly files: number;
  readonly bytes: number;
  readonly releases: number;
}

/**
 * Makes a data folder from a backup, which may have come from anywhere: its list of files is checked before anything is copied, and
 * everything is verified before a farm can start on the folder: each file by its sha256, the state by its digest, content by its own
 * (the index is made anew from it), and that each kept release has all that it names. The farm then starts with a new log
 * behind the state.
 * @throws GranaryError STATE_CONFLICT when the data folder is not empty, DATA_IN_USE; NOT_FOUND without a backup, STORE_FORMAT when it is of
 *   another version, STORE_CORRUPT naming the file; STORE_FULL before anything is copied, STORE_IO
 */
export async function restoreBackup(options: {
  dir: string;
  dataDir: string;
  log: StoreLog;
}): Promise<RestoreResult> {
  const { dir, log } = options;
  const dataDir = path.resolve(options.dataDir);
  const manifest = readManifest(dir);
  checkBackupFiles(dir, manifest);
  const lock = await lockDataDir(dataDir);
  try {
    const bytes = manifest.files.reduce((sum, { size }) => sum + size, 0);
    const folder = new RestoreFolder(dataDir, manifest);
    folder.begin(bytes);
    try {
      const releases = await fill(folder.staged, { dir, manifest, log });
      folder.finish();
      return { seq: manifest.state.seq, files: manifest.files.length, bytes, releases };
    } catch (error) {
      folder.abandon();
      throw error;
    }
  } finally {
    lock.release();
  }
}

/** @returns how many releases there are */
async function fill(
  staged: string,
  { dir, manifest, log }: { dir: string; manifest: BackupManifest; log: StoreLog },
): Promise<number> {
  for (const file of manifest.files) await copyFile({ dir, staged, file });
  const stateDir = path.join(staged, "state");
  if (!existsSync(path.join(stateDir, DATA_FILE)))
    throw damagedBackup(path.join(dir, "state"), "it is missing");
  await probeState(stateDir);
  const writer = openStateWriter(stateDir);
  try {
    if (stateDigest(writer.rows()) !== manifest.state.digest)
      throw damagedBackup(path.join(dir, "state"), "its rows are not those that were backed up");
    await rebuildIndex(path.join(staged, "store"), { log });
    const releases = await checkReleases(path.join(staged, "store"), { writer, log });
    markReseed(writer, randomUUID());
    return releases;
  } catch (error) {
    if (error instanceof GranaryError || (error instanceof Error && "code" in error)) throw error;
    // A state with its right digest and rows of the wrong shape was not written by a farm.
    throw damagedBackup(path.join(dir, "state"), `it cannot be understood: ${String(error)}`);
  } finally {
    await writer.close();
  }
}

async function copyFile(options: {
  dir: string;
  staged: string;
  file: BackupManifest["files"][number];
}): Promise<void> {
  const { dir, staged, file } = options;
  const from = path.join(dir, file.path);
  const copy = await copyHashed(from, path.join(staged, file.path));
  if (copy.size !== file.size) throw damagedBackup(from, `it has ${copy.size} bytes, not ${file.size}`);
  if (copy.sha256 !== file.sha256) throw damagedBackup(from, "it does not match its sha256");
}

/** Every release and preview that is kept: its image, and each file of its tree. @returns how many releases there are */
async function checkReleases(dir: string, options: { writer: StateWriter; log: StoreLog }): Promise<number> {
  const store = await openStore({ dir, log: options.log });
  const { writer } = options;
  try {
    let releases = 0;
    for await (const { org, project, ref, artifact } of contentRoots((body) => writer.read(body))) {
      const { manifest, config, layers, tree } = artifact;
      const files = (await store.readTree(tree)).flatMap((entry) =>
        entry.type === "file" ? [entry.digest] : [],
      );
      const named = [manifest.digest, config.digest, ...layers.map((layer) => layer.digest), ...files];
      for (const digest of named) {
        if (store.stat(digest) !== undefined) continue;
        const message = `the backup lacks ${digest} of ${org}/${project}@${ref}`;
        throw new GranaryError("STORE_CORRUPT", message, { digest });
      }
      if ("version" in artifact) releases += 1;
    }
    return releases;
  } finally {
    await store.close();
  }
}
