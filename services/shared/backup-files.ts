import { lstatSync, realpathSync } from "node:fs";
import path from "node:path";
import type { BackupManifest } from "./backup-manifest.ts";
import { damagedBackup } from "./damaged-backup.ts";

/**
 * Looks at every file that a backup lists, without reading any: plain files of the size that was backed up, each named once. A pipe
 * would be read for ever, a link could lead anywhere.
 * @throws GranaryError STORE_CORRUPT naming the file
 */
export function checkBackupFiles(dir: string, { files }: BackupManifest): void {
  const root = realpathSync(dir);
  const names = new Set<string>();
  for (const file of files) {
    const from = path.join(dir, file.path);
    if (names.has(file.path)) throw damagedBackup(from, "it is listed twice");
    names.add(file.path);
    const stat = lstatSync(from, { throwIfNoEntry: false });
    if (stat === undefined) throw damagedBackup(from, "it is missing");
    if (!stat.isFile() || realpathSync(from) !== path.join(root, file.path))
      throw damagedBackup(from, "it is not a plain file in the backup's folder");
    if (stat.size !== file.size) throw damagedBackup(from, `it has ${stat.size} bytes, not ${file.size}`);
  }
  for (const { path: name } of files)
    for (let folder = path.dirname(name); folder !== "."; folder = path.dirname(folder))
      if (names.has(folder)) throw damagedBackup(path.join(dir, folder), "it is listed as file and folder");
}
