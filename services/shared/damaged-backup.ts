import { GranaryError } from "../../proto/errors.ts";

/** What is said of a file of a backup that cannot be used. */
export function damagedBackup(file: string, why: string): GranaryError {
  return new GranaryError("STORE_CORRUPT", `${file} of the backup is damaged: ${why}`, {
    file,
    hint: "Nothing was restored. Use another copy of the backup.",
  });
}
