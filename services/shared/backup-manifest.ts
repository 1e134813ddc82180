import { createHash } from "node:crypto";
import { lstatSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import { damagedBackup } from "./damaged-backup.ts";
import { syncFile } from "./sync-file.ts";

const FILE = "backup.json";
const hex = z.string().regex(/^[0-9a-f]{64}$/);

/** Below the data folder: nothing that leads out of it, and nothing that a restore itself makes there. */
export const BACKUP_PATH =
  /^(?!farm\.lock|\.restoring)(?!.*(?:^|\/)\.\.?(?:\/|$))[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/;

/** What every version has in common. */
const VERSION = z.looseObject({ v: z.int() });
const MANIFEST = z.strictObject({
  v: z.literal(1),
  created_at: z.string(),
  granary: z.string(),
  /** The state: its position, and sha256 over its sorted rows. */
  state: z.strictObject({ seq: z.int().nonnegative(), digest: hex, state_version: z.int() }),
  files: z.array(
    z.strictObject({
      path: z.string().max(500).regex(BACKUP_PATH),
      size: z.int().nonnegative(),
      sha256: hex,
    }),
  ),
});
export type BackupManifest = z.infer<typeof MANIFEST>;

/** The last file of a backup: without it there is none. It carries its own sha256 in a second line. */
export function writeManifest(dir: string, manifest: BackupManifest): void {
  const text = JSON.stringify(manifest);
  const draft = path.join(dir, `${FILE}.new`);
  writeFileSync(draft, `${text}\n${sha256(text)}\n`, { mode: 0o600 });
  syncFile(draft);
  renameSync(draft, path.join(dir, FILE));
  syncFile(dir);
}

/**
 * @throws GranaryError NOT_FOUND when there is no finished backup, STORE_FORMAT when a newer version wrote it, STORE_CORRUPT when its
 *   manifest is damaged
 */
export function readManifest(dir: string): BackupManifest {
  const file = path.join(dir, FILE);
  const stat = lstatSync(file, { throwIfNoEntry: false });
  if (stat === undefined)
    throw new GranaryError("NOT_FOUND", `${dir} has no finished backup: there is no ${FILE}`, {
      hint: "A backup is a folder that `granary backup DIR` has made to its end.",
    });
  if (!stat.isFile()) throw damagedBackup(file, "it is not a plain file");
  if (stat.size > LIMITS.backupManifestBytes)
    throw damagedBackup(file, `it has ${stat.size} bytes, ${LIMITS.backupManifestBytes} are the limit`);
  const [text = "", digest] = readFileSync(file, "utf8").split("\n");
  if (sha256(text) !== digest) throw damagedBackup(file, "it does not match its sha256");
  const json = parseJson(file, text);
  const version = VERSION.safeParse(json).data?.v ?? 1;
  if (version !== 1) throw new GranaryError("STORE_FORMAT", `${file} is of version ${version}`, { file });
  const parsed = MANIFEST.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw damagedBackup(file, `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "it is of another shape"}`);
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw damagedBackup(file, "it is not JSON");
  }
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
