import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { GranaryError } from "../../proto/errors.ts";
import { BACKUP_PATH, type BackupManifest, writeManifest } from "./backup-manifest.ts";
import { copyHashed } from "./copy-hashed.ts";
import { digestInSlices } from "./digest-in-slices.ts";
import { makeFolder } from "./make-folder.ts";
import { DATA_FILE, openStateReader } from "./state-db.ts";
import { KEYS, STATE_VERSION } from "./state-keys.ts";
import { syncFile } from "./sync-file.ts";

/** Held while content is copied: no garbage collection starts meanwhile. */
export const BACKUP_LEASE = "backup";
/** What a pass over the store copies; the index is not among it, restore makes it anew from verified content. */
const CONTENT = ["store/packs", "store/big", "store/inbox"];
const IDENTITY = ["store/format", "nats/keys"];
/** While files vanish, content may be on its way from one to another. */
const PASSES = 20;

/**
 * Writes everything that a farm is into a new folder, while it runs. The state is copied before the content: whatever a state
 * names was durable before (content -> index -> release), and nothing is deleted while the caller holds its lease, so that what
 * is copied later has all of it. Uploads are copied before the state as well: their publish may end meanwhile.
 * @throws GranaryError STATE_CONFLICT when the folder is not empty, USAGE when it cannot be made
 */
export async function writeBackup(options: {
  dir: string;
  dataDir: string;
  granary: string;
  now: () => number;
  copyState(file: string): Promise<void>;
}): Promise<{ seq: number; files: number; bytes: number }> {
  const { dir, dataDir } = options;
  if (existsSync(dir) && readdirSync(dir).length > 0)
    throw new GranaryError("STATE_CONFLICT", `${dir} is not empty: a backup wants a new folder`, { dir });
  makeFolder(dir);
  const copies = new Map<string, BackupManifest["files"][number]>();
  await copyPass({ dataDir, dir, copies }, ["store/inbox"]);

  mkdirSync(path.join(dir, "state"), { mode: 0o700 });
  const staged = path.join(dir, "state", DATA_FILE);
  await options.copyState(staged);
  const state = await describeState(path.join(dir, "state"));

  for (let pass = 0; ; pass++) {
    if (pass === PASSES) throw new GranaryError("UNAVAILABLE", `files of ${dataDir}/store do not hold still`);
    if ((await copyPass({ dataDir, dir, copies }, CONTENT)) === 0) break;
  }
  const top = readdirSync(dataDir).filter(
    (name) => BACKUP_PATH.test(name) && statSync(path.join(dataDir, name)).isFile(),
  );
  await copyPass({ dataDir, dir, copies }, [...IDENTITY, ...top]);
  // It is rewritten by its owner only here: its digest is that of the file as it lies there.
  const again = await copyHashed(staged, `${staged}.synced`);
  rmSync(`${staged}.synced`);
  copies.set(`state/${DATA_FILE}`, { path: `state/${DATA_FILE}`, ...again });
  const files = [...copies.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  const at = new Date(options.now()).toISOString();
  writeManifest(dir, { v: 1, created_at: at, granary: options.granary, state, files });
  return { seq: state.seq, files: files.length, bytes: files.reduce((sum, { size }) => sum + size, 0) };
}

/** Copies what is new or has grown since. @returns how many files vanished under the copying */
async function copyPass(
  backup: { dataDir: string; dir: string; copies: Map<string, BackupManifest["files"][number]> },
  roots: readonly string[],
): Promise<number> {
  const { dataDir, dir, copies } = backup;
  let vanished = 0;
  for (const name of roots.flatMap((root) => filesBelow(dataDir, root))) {
    const from = path.join(dataDir, name);
    const size = statSync(from, { throwIfNoEntry: false })?.size;
    if (size !== undefined && copies.get(name)?.size === size) continue;
    try {
      copies.set(name, { path: name, ...(await copyHashed(from, path.join(dir, name))) });
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
      vanished += 1;
    }
  }
  return vanished;
}

function filesBelow(dataDir: string, root: string): string[] {
  const at = path.join(dataDir, root);
  const stat = statSync(at, { throwIfNoEntry: false });
  if (stat === undefined) return [];
  if (stat.isFile()) return [root];
  return readdirSync(at, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(dataDir, path.join(entry.parentPath, entry.name)));
}

async function describeState(folder: string): Promise<BackupManifest["state"]> {
  const copy = openStateReader(folder);
  const seq = copy.read((view) => view.get(KEYS.meta()))?.seq ?? 0;
  const digest = (await digestInSlices(copy.rows(), new AbortController().signal)) ?? "";
  await copy.close();
  rmSync(path.join(folder, `${DATA_FILE}-lock`), { force: true });
  syncFile(path.join(folder, DATA_FILE));
  syncFile(folder);
  return { seq, digest, state_version: STATE_VERSION };
}
