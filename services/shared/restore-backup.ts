import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import path from "node:path";
import { GranaryError } from "../../proto/errors.ts";
import { rebuildIndex } from "../../store/rebuild-index.ts";
import { openStore, type StoreLog } from "../../store/store.ts";
import { type BackupManifest, readManifest } from "./backup-manifest.ts";
import { contentRoots } from "./content-roots.ts";
import { copyHashed } from "./copy-hashed.ts";
import { markReseed } from "./reseed-mark.ts";
import { openStateWriter, type StateWriter } from "./state-db.ts";
import { stateDigest } from "./state-db-digest.ts";
import { probeState } from "./state-db-probe.ts";
import { syncFile } from "./sync-file.ts";

export interface RestoreResult {
  readonly seq: number;
  readonly files: number;
  readonly bytes: number;
  readonly releases: number;
}

/**
 * Makes a data folder from a backup. Everything is verified before the folder gets its name: each file by its sha256, the state
 * by its digest, content by its own (the index is made anew from it), and that each kept release has all that it names. The
 * farm then starts with a new log behind the state.
 * @throws GranaryError STATE_CONFLICT when the data folder is not empty; STORE_CORRUPT naming the file; NOT_FOUND without a backup
 */
export async function restoreBackup(options: {
  dir: string;
  dataDir: string;
  log: StoreLog;
}): Promise<RestoreResult> {
  const { dir } = options;
  const dataDir = path.resolve(options.dataDir);
  if (existsSync(dataDir) && readdirSync(dataDir).length > 0) {
    const message = `${dataDir} is not empty: a backup is restored into a new data folder`;
    throw new GranaryError("STATE_CONFLICT", message, { data: dataDir });
  }
  const manifest = readManifest(dir);
  const staged = `${dataDir}.restoring`;
  rmSync(staged, { recursive: true, force: true });
  mkdirSync(staged, { recursive: true, mode: 0o700 });
  for (const file of manifest.files) await copyFile({ dir, staged, file });
  await probeState(path.join(staged, "state"));
  const writer = openStateWriter(path.join(staged, "state"));
  let releases: number;
  try {
    if (stateDigest(writer.rows()) !== manifest.state.digest)
      throw damaged(path.join(dir, "state"), "its rows are not those that were backed up");
    await rebuildIndex(path.join(staged, "store"), { log: options.log });
    releases = await checkReleases(path.join(staged, "store"), { writer, log: options.log });
    markReseed(writer, randomUUID());
  } finally {
    await writer.close();
  }
  syncFile(staged);
  if (existsSync(dataDir)) rmdirSync(dataDir);
  renameSync(staged, dataDir);
  syncFile(path.dirname(dataDir));
  const bytes = manifest.files.reduce((sum, { size }) => sum + size, 0);
  return { seq: manifest.state.seq, files: manifest.files.length, bytes, releases };
}

async function copyFile(options: {
  dir: string;
  staged: string;
  file: BackupManifest["files"][number];
}): Promise<void> {
  const { dir, staged, file } = options;
  const from = path.join(dir, file.path);
  if (!existsSync(from)) throw damaged(from, "it is missing");
  const copy = await copyHashed(from, path.join(staged, file.path));
  if (copy.size !== file.size) throw damaged(from, `it has ${copy.size} bytes, not ${file.size}`);
  if (copy.sha256 !== file.sha256) throw damaged(from, "it does not match its sha256");
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

function damaged(file: string, why: string): GranaryError {
  return new GranaryError("STORE_CORRUPT", `${file} of the backup is damaged: ${why}`, { file });
}
