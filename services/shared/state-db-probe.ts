import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { GranaryError } from "../../proto/errors.ts";
import { DATA_FILE } from "./state-db.ts";

const PROBE = fileURLToPath(new URL("./state-db-probe-main.js", import.meta.url));
const TIMEOUT_MS = 30_000;

/**
 * Looks at the state in a process of its own, before this one opens it: LMDB answers a truncated file with SIGBUS and zeroed
 * meta pages with SIGSEGV, which would take the whole farm down instead of naming the file.
 * @throws GranaryError STORE_CORRUPT
 */
export async function probeState(dir: string): Promise<void> {
  const file = path.join(dir, DATA_FILE);
  if (!existsSync(file)) return;
  const problem = await new Promise<string | undefined>((resolve) => {
    execFile(process.execPath, [PROBE, file], { timeout: TIMEOUT_MS }, (error, _stdout, stderr) => {
      if (error === null) resolve(undefined);
      else resolve(error.signal ?? (stderr.trim().split("\n").at(-1) || `exit code ${String(error.code)}`));
    });
  });
  if (problem === undefined) return;
  throw new GranaryError("STORE_CORRUPT", `the state in ${file} cannot be read: ${problem}`, {
    file,
    problem,
  });
}
