import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/**
 * What tells one process from a later one with the same pid: on Linux the boot id and the start time in clock ticks
 * (proc(5): /proc/PID/stat, field 22), elsewhere what `ps -o lstart=` prints, which has a resolution of one second.
 * @returns undefined when no such process runs; a zombie has ended and counts as none
 */
export function processIdentity(pid: number): string | undefined {
  if (process.platform !== "linux") return ps(pid, "lstart");
  const stat = readProc(`/proc/${pid}/stat`);
  // The command name in parentheses may itself contain spaces and parentheses.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (!fields || fields[0] === "Z" || fields[0] === "X") return undefined;
  return `${readProc("/proc/sys/kernel/random/boot_id")?.trim()}/${fields[19]}`;
}

/** The command line of a running process, its arguments joined by spaces; undefined when it is gone or hidden. */
export function processCommandLine(pid: number): string | undefined {
  if (process.platform !== "linux") return ps(pid, "command");
  return readProc(`/proc/${pid}/cmdline`)?.split("\0").join(" ").trim() || undefined;
}

function readProc(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

function ps(pid: number, column: string): string | undefined {
  try {
    const stdout = execFileSync("/bin/ps", ["-o", `${column}=`, "-p", String(pid)], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      env: { LC_ALL: "C", TZ: "UTC" },
    });
    return stdout.trim() || undefined;
  } catch {
    return undefined;
  }
}
