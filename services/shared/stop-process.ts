import { setTimeout as sleep } from "node:timers/promises";
import { processCommandLine } from "./process-identity.ts";

/**
 * Ends a process that is not our child and waits until it is gone: SIGTERM, then SIGKILL after the grace.
 * @param marker a text in its command line; a process without it is not the one that is meant and is left alone
 * @returns whether there was such a process
 */
export async function stopProcess(pid: number, marker: string, graceMs: number): Promise<boolean> {
  const isThere = () => processCommandLine(pid)?.includes(marker) ?? false;
  if (!isThere()) return false;
  signal(pid, "SIGTERM");
  const killAtMs = performance.now() + graceMs;
  let killed = false;
  while (isThere()) {
    if (!killed && performance.now() >= killAtMs) {
      signal(pid, "SIGKILL");
      killed = true;
    }
    await sleep(20);
  }
  return true;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
