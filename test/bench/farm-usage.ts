import { readFileSync, writeFileSync } from "node:fs";
import { natsPid, type TestFarm } from "../helpers/farm.ts";

/** USER_HZ: what /proc/PID/stat counts in on every Linux that Node runs on. */
const TICK_MS = 10;

export interface FarmUsage {
  /** CPU of the farm's process, its threads included, in ms. */
  readonly cpuMs: number;
  readonly natsCpuMs: number;
  /** Bytes that farm and nats-server made the kernel write to the disk; 0 on a tmpfs. */
  readonly writtenBytes: number;
}

/** What a farm has used so far. Linux only. */
export function farmUsage(farm: TestFarm): FarmUsage {
  const nats = natsPid(farm.data);
  return {
    cpuMs: cpuMsOf(farm.pid),
    natsCpuMs: cpuMsOf(nats),
    writtenBytes: writtenBytesOf(farm.pid) + writtenBytesOf(nats),
  };
}

/** What it has used since `before`. */
export function usageSince(farm: TestFarm, before: FarmUsage): FarmUsage {
  const now = farmUsage(farm);
  return {
    cpuMs: now.cpuMs - before.cpuMs,
    natsCpuMs: now.natsCpuMs - before.natsCpuMs,
    writtenBytes: now.writtenBytes - before.writtenBytes,
  };
}

/** Largest resident memory of the farm's process since the last {@link resetPeakMemory}, in bytes. */
export function peakMemory(farm: TestFarm): number {
  return statusOf(farm.pid, "VmHWM");
}

/** @returns what is resident now, in bytes */
export function resetPeakMemory(farm: TestFarm): number {
  // proc_pid_clear_refs(5): 5 resets the peak.
  writeFileSync(`/proc/${farm.pid}/clear_refs`, "5");
  return statusOf(farm.pid, "VmRSS");
}

/** proc_pid_stat(5): utime and stime are fields 14 and 15; the name before them may hold spaces. */
function cpuMsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

function writtenBytesOf(pid: number): number {
  return Number(/^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
}

function statusOf(pid: number, field: string): number {
  const line = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1]) * 1024;
}
