import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";

/** What the numbers were taken on; `folder` is where the data lies. */
export function describeMachine(folder: string): string {
  const [minute = 0] = loadavg();
  return [
    `${cpus().length} x ${cpus()[0]?.model.trim() ?? "cpu"}`,
    `${Math.round(totalmem() / 2 ** 30)} GiB`,
    `Linux ${release()}`,
    `Node ${process.versions.node}`,
    `${fileSystemOf(folder)} below the data`,
    `load ${minute.toFixed(1)} at the start${minute > cpus().length / 2 ? " (busy: do not trust the times)" : ""}`,
  ].join(", ");
}

/** Type and options that matter: ext4 without a journal creates files at other speeds than one with it. */
function fileSystemOf(folder: string): string {
  const mount = execFileSync("stat", ["-c", "%m", folder], { encoding: "utf8" }).trim();
  const line = readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .findLast((one) => one.split(" ")[1] === mount);
  return line?.split(" ")[2] ?? "an unknown file system";
}
