import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TestFarm } from "../helpers/farm.ts";

/** USER_HZ: what /proc/PID/stat counts in on every Linux that Node runs on. */
const TICK_MS = 10;

/** CPU time so far of the farm's process, its threads included, and of its nats-server, in ms. Linux only. */
export function farmCpu(farm: TestFarm): { farm: number; nats: number } {
  const nats = Number(readFileSync(join(farm.data, "nats", "nats-server.pid"), "utf8"));
  return { farm: cpuMsOf(farm.pid), nats: cpuMsOf(nats) };
}

/** proc_pid_stat(5): utime and stime are fields 14 and 15; the name before them may hold spaces. */
function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
