import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { tempFolder } from "./temp-folder.ts";

/** EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: what was not synced is gone, and so is the file system until remounted. */
const SHUTDOWN =
  'open(F, "<", $ARGV[0]) or die $!; my $flags = pack("L", 2); ioctl(F, 0x8004587D, $flags) or die $!';

/** An ext4 file system in a file whose power can be cut. Needs root, loop devices and perl. */
export interface PowerCutDisk {
  readonly folder: string;
  cut(): void;
  /** As the system does it when a file system finds itself damaged. */
  makeReadOnly(): void;
  /** After all who used it have ended. */
  restore(): void;
  remove(): void;
}

/** Runs a test with such a disk and a printed seed; skips it where this machine has none. */
export async function withPowerCutDisk(
  t: TestContext,
  sizeMib: number,
  body: (disk: PowerCutDisk, seed: number) => Promise<void>,
): Promise<void> {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  t.diagnostic(`GRANARY_SEED=${seed}`);
  const disk = createPowerCutDisk(sizeMib);
  if (typeof disk === "string") {
    t.skip(`no power cut here: ${disk}`);
    return;
  }
  try {
    await body(disk, seed);
  } finally {
    disk.remove();
  }
}

/** Answers why not when this machine cannot do it. */
function createPowerCutDisk(sizeMib: number): PowerCutDisk | string {
  if (process.getuid?.() !== 0) return "needs root";
  const base = tempFolder();
  const image = join(base, "disk.img");
  const folder = join(base, "mount");
  fs.mkdirSync(folder);
  fs.writeFileSync(image, "");
  fs.truncateSync(image, sizeMib * 1024 * 1024);
  const made = run("mkfs.ext4", "-q", image) ?? mount(image, folder);
  if (made !== undefined) return made;
  return {
    folder,
    cut: () => must(run("perl", "-e", SHUTDOWN, folder)),
    makeReadOnly: () => fs.writeFileSync(`/sys/fs/ext4/${deviceOf(folder)}/trigger_fs_error`, "test"),
    restore: () => must(run("umount", folder) ?? mount(image, folder)),
    remove: () => void run("umount", "-l", folder),
  };
}

function mount(image: string, folder: string): string | undefined {
  return run("mount", "-o", "loop,errors=remount-ro", image, folder);
}

function deviceOf(folder: string): string {
  const line = fs
    .readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .find((row) => row.split(" ")[1] === folder);
  return (line?.split(" ")[0] ?? "").replace("/dev/", "");
}

function run(command: string, ...args: string[]): string | undefined {
  const { status, error, stderr } = spawnSync(command, args, { encoding: "utf8" });
  return status === 0 ? undefined : `${command} failed: ${error?.message ?? stderr.trim()}`;
}

function must(problem: string | undefined): void {
  if (problem !== undefined) throw new Error(problem);
}
