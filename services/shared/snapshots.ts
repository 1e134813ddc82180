import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { GranaryError } from "../../proto/errors.ts";
import { lazyZod } from "../../proto/lazy-zod.ts";
import { LOCAL_EPOCH } from "./reseed-mark.ts";
import { DATA_FILE, openStateReader, type StateReader } from "./state-db.ts";
import { stateDigest } from "./state-db-digest.ts";
import { probeState } from "./state-db-probe.ts";
import { KEYS, STATE_VERSION } from "./state-keys.ts";
import { syncFile } from "./sync-file.ts";

/**
 * Copies of a replica's state, each a folder `snapshots/<sequence>/` of the state's file and what it is. A copy that is in its
 * place is whole: it is made in `snapshots/new`, synced, and renamed.
 */
export interface Snapshot extends SnapshotInfo {
  readonly folder: string;
}

export interface SnapshotInfo {
  readonly v: 1;
  /** The last command in it. */
  readonly seq: number;
  /** sha256 over the sorted rows, hex. */
  readonly digest: string;
  readonly state_version: number;
  /** The log that it was made from. */
  readonly epoch: string;
}

const INFO_FILE = "snapshot.json";
const NEW = "new";

/** What is in its place, the newest first. */
export function listSnapshots(dir: string): Snapshot[] {
  if (!existsSync(dir)) return [];
  const found: Snapshot[] = [];
  for (const name of readdirSync(dir).filter((entry) => /^[0-9]{15}$/.test(entry))) {
    const info = readInfo(path.join(dir, name));
    if (info !== undefined) found.push({ ...info, folder: path.join(dir, name) });
  }
  return found.sort((a, b) => b.seq - a.seq);
}

/**
 * Makes a snapshot of a state that goes on changing, and removes all but the `keep` newest.
 * @param options.digestOf reads all rows; undefined gives the snapshot up
 */
export async function writeSnapshot(
  dir: string,
  options: {
    copy(file: string): Promise<void>;
    digestOf(rows: ReturnType<StateReader["rows"]>): Promise<string | undefined>;
    keep: number;
  },
): Promise<Snapshot | undefined> {
  const staged = path.join(dir, NEW);
  rmSync(staged, { recursive: true, force: true });
  mkdirSync(staged, { recursive: true, mode: 0o700 });
  await options.copy(path.join(staged, DATA_FILE));
  const info = await describe(staged, options.digestOf);
  if (info === undefined) return undefined;
  writeFileSync(path.join(staged, INFO_FILE), `${JSON.stringify(info)}\n`);
  for (const name of [DATA_FILE, INFO_FILE, "."]) syncFile(path.join(staged, name));
  const folder = path.join(dir, String(info.seq).padStart(15, "0"));
  rmSync(folder, { recursive: true, force: true });
  renameSync(staged, folder);
  syncFile(dir);
  for (const old of listSnapshots(dir).slice(options.keep)) rmSync(old.folder, { recursive: true });
  return { ...info, folder };
}

/** The copy says itself which moment it is of. */
async function describe(
  folder: string,
  digestOf: (rows: ReturnType<StateReader["rows"]>) => Promise<string | undefined>,
): Promise<SnapshotInfo | undefined> {
  const copy = openStateReader(folder);
  try {
    const seq = copy.read((view) => view.get(KEYS.meta()))?.seq ?? 0;
    const epoch = copy.readLocal(LOCAL_EPOCH);
    const digest = seq === 0 || epoch === undefined ? undefined : await digestOf(copy.rows());
    if (digest === undefined || epoch === undefined) return undefined;
    return { v: 1, seq, digest, state_version: STATE_VERSION, epoch };
  } finally {
    await copy.close();
    rmSync(path.join(folder, `${DATA_FILE}-lock`), { force: true });
  }
}

/**
 * Puts the newest snapshot that is whole into the place of a state that is gone; `undefined` when the state is there, or never
 * was. A snapshot that does not match its digest is passed over for an older one: the log is kept from the oldest on.
 * @throws GranaryError STORE_CORRUPT when there are snapshots and none is whole
 */
export async function restoreMissingState(dir: string, snapshots: string): Promise<Snapshot | undefined> {
  if (existsSync(path.join(dir, DATA_FILE))) return undefined;
  const found = listSnapshots(snapshots);
  let problem: GranaryError | undefined;
  for (const snapshot of found) {
    try {
      await restoreSnapshot(snapshot, dir);
      return snapshot;
    } catch (error) {
      if (!(error instanceof GranaryError)) throw error;
      problem = error;
    }
  }
  if (problem !== undefined) throw problem;
  return undefined;
}

/** Copies a snapshot to where a replica looks for its state. @throws GranaryError STORE_CORRUPT when it is not what it says */
async function restoreSnapshot(snapshot: Snapshot, dir: string): Promise<void> {
  const staged = `${dir}.restoring`;
  rmSync(staged, { recursive: true, force: true });
  mkdirSync(staged, { recursive: true, mode: 0o700 });
  cpSync(path.join(snapshot.folder, DATA_FILE), path.join(staged, DATA_FILE));
  await probeState(staged);
  const copy = openStateReader(staged);
  const seq = copy.read((view) => view.get(KEYS.meta()))?.seq ?? 0;
  const digest = stateDigest(copy.rows());
  await copy.close();
  if (seq !== snapshot.seq || digest !== snapshot.digest) {
    rmSync(staged, { recursive: true });
    const detail = { snapshot: snapshot.folder, expected: snapshot.digest, found: digest };
    throw new GranaryError(
      "STORE_CORRUPT",
      `the snapshot ${snapshot.folder} is not the state that it says`,
      detail,
    );
  }
  syncFile(path.join(staged, DATA_FILE));
  rmSync(dir, { recursive: true, force: true });
  renameSync(staged, dir);
  syncFile(path.dirname(dir));
}

function readInfo(folder: string): SnapshotInfo | undefined {
  try {
    return infoSchema().safeParse(JSON.parse(readFileSync(path.join(folder, INFO_FILE), "utf8"))).data;
  } catch {
    return undefined;
  }
}

function infoSchema() {
  const { z } = lazyZod();
  return z.strictObject({
    v: z.literal(1),
    seq: z.int().positive(),
    digest: z.string().regex(/^[0-9a-f]{64}$/),
    state_version: z.int(),
    epoch: z.string(),
  });
}
