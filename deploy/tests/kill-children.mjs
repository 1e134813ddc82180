import { execFileSync } from "node:child_process";
import fs from "node:fs";

/**
 * Sends SIGKILL to the processes that this one started and that still run. Theirs are left alone: a farm's guard ends
 * its nats-server when the farm is gone.
 */
export function killChildren() {
  for (const pid of childPids()) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if (error.code !== "ESRCH") throw error;
    }
  }
}

function childPids() {
  const pairs = process.platform === "linux" ? pairsFromProc() : pairsFromPs();
  return pairs.filter(([, parent]) => parent === process.pid).map(([pid]) => pid);
}

/** proc(5), /proc/PID/stat: `pid (command) state ppid ...`, where the command may contain anything. */
function pairsFromProc() {
  return fs.readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = fs.readFileSync(`/proc/${name}/stat`, "utf8");
      return [[Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1])]];
    } catch {
      return [];
    }
  });
}

function pairsFromPs() {
  const lines = execFileSync("/bin/ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" }).trim().split("\n");
  return lines.map((line) => line.trim().split(/\s+/).map(Number));
}
