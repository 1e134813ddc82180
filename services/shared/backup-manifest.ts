import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { GranaryError } from "../../proto/errors.ts";
import { syncFile } from "./sync-file.ts";

const FILE = "backup.json";
const hex = z.string().regex(/^[0-9a-f]{64}$/);

const MANIFEST = z.strictObject({
  v: z.literal(1),
  created_at: z.string(),
  granary: z.string(),
  /** The state: its position, and sha256 over its sorted rows. */
  state: z.strictObject({ seq: z.int().nonnegative(), digest: hex, state_version: z.int() }),
  files: z.array(
    z.strictObject({
      /** Below the data folder. */
      path: z.string().regex(/^(?!.*(?:^|\/)\.\.?(?:\/|$))[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/),
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

/** @throws GranaryError NOT_FOUND when there is no finished backup, STORE_CORRUPT when its manifest is damaged */
export function readManifest(dir: string): BackupManifest {
  const file = path.join(dir, FILE);
  if (!existsSync(file))
    throw new GranaryError("NOT_FOUND", `${dir} has no finished backup: there is no ${FILE}`);
  const [text = "", digest] = readFileSync(file, "utf8").split("\n");
  if (sha256(text) !== digest) throw new GranaryError("STORE_CORRUPT", `${file} is damaged`, { file });
  const parsed = MANIFEST.safeParse(JSON.parse(text));
  if (parsed.success) return parsed.data;
  throw new GranaryError("STORE_FORMAT", `${file} is of another version`, { file });
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
