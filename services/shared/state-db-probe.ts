import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { GranaryError } from "../../proto/errors.ts";
import { DATA_FILE } from "./state-db.ts";

const PROBE = fileURLToPath(new URL("./state-db-probe-main.js", import.meta.url));
/** A walk of 5 s, or of all rows: 10^7 of them take a minute. */
const TIMEOUT_MS = { some: 60_000, all: 30 * 60_000 } as const;

/**
 * Looks at the state in a process of its own, before this one opens it: LMDB answers a truncated file with SIGBUS and zeroed
 * meta pages with SIGSEGV, which would take the whole farm down instead of naming the file; a bit that flips takes rows out of sight.
 * @param options.extent some: as many rows as 5 s allow
 * @throws GranaryError STORE_CORRUPT
 */
export async function probeState(
  dir: string,
  { extent = "all" }: { extent?: "some" | "all" } = {},
): Promise<void> {
  const file = path.join(dir, DATA_FILE);
  if (!existsSync(file)) return;
  const problem = await new Promise<string | undefined>((resolve) => {
    execFile(
      process.execPath,
      [PROBE, file, extent],
      { timeout: TIMEOUT_MS[extent] },
      (error, _stdout, stderr) => {
        if (error === null) resolve(undefined);
        else resolve(error.signal ?? (stderr.trim().split("\n").at(-1) || `exit code ${String(error.code)}`));
      },
    );
  });
  if (problem === undefined) return;
  throw new GranaryError("STORE_CORRUPT", `the state in ${file} cannot be read: ${problem}`, {
    file,
    problem,
  });
}
