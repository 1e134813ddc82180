import { randomBytes } from "node:crypto";
import { linkSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { GranaryError } from "../../proto/errors.ts";
import { makeFolder } from "./make-folder.ts";
import { processIdentity } from "./process-identity.ts";

export interface DataLock {
  /** Gives the folder free; repeating it is harmless. A process that dies without it leaves a lock that is taken over. */
  release(): void;
}

/**
 * Takes a data folder for this process (which is created if it is missing).
 *
 * The lock is a row of files `farm.lock.N`, of which the one with the highest N counts. To take it, a process
 * (1) lists the folder and finds N, whose file says that it is free or whose process has ended,
 * (2) links a complete file to N+1, where EEXIST means that another was quicker, and
 * (3) lists the folder again and holds the lock if N+1 is the highest; otherwise it removes its file and starts over.
 * A holder of N removes only files below N; a release rewrites its own file (rename) to say "free".
 *
 * Why two live holders J < K cannot be: the highest number never falls, because a file is removed only while a higher
 * one is there. J was the highest when its holder did (3). Numbers grow by one, so somebody linked J+1 later, after
 * listing J as the highest and reading from it that it was free or its process dead. That file was the holder's own:
 * an earlier file J could only have been removed under a higher number, which (3) would have seen. But the holder is
 * alive and has not released: contradiction. This also covers a slow process that links N+1 long after others took,
 * released and removed it: (3) shows it a higher number.
 *
 * It rests on a listing being one snapshot (Linux reads a folder of this size in one getdents64 under the folder's
 * lock), and on seeing each other's processes: one machine and one pid namespace, no network file system.
 * @throws GranaryError DATA_IN_USE with the holder's pid, USAGE when the folder cannot be made
 */
export async function lockDataDir(dataDir: string): Promise<DataLock> {
  makeFolder(dataDir);
  const identity = processIdentity(process.pid);
  if (identity === undefined) throw new GranaryError("INTERNAL", "this process cannot identify itself");
  for (;;) {
    const highest = highestLock(dataDir);
    const holderPid = liveHolder(dataDir, highest);
    if (holderPid !== undefined) {
      const detail = { pid: holderPid, data: path.resolve(dataDir) };
      throw new GranaryError("DATA_IN_USE", `process ${holderPid} uses ${detail.data}`, detail);
    }
    const mine = highest + 1;
    if (!linkLock(dataDir, mine, { pid: process.pid, identity, free: false })) continue;
    if (highestLock(dataDir) !== mine) {
      rmSync(lockFile(dataDir, mine), { force: true });
      continue;
    }
    removeOlder(dataDir, mine);
    let held = true;
    return {
      release() {
        if (!held) return;
        held = false;
        markFree(dataDir, mine, { pid: process.pid, identity, free: true });
      },
    };
  }
}

const LOCK_CONTENT = z.object({ pid: z.int().positive(), identity: z.string(), free: z.boolean() });
type LockContent = z.infer<typeof LOCK_CONTENT>;

const LOCK_NAME = /^farm\.lock\.(\d{1,15})$/;
const DRAFT_NAME = /^farm\.lock\.draft\.(\d+)\./;

/** 0 when there is none. */
function highestLock(dataDir: string): number {
  return Math.max(0, ...lockNumbers(dataDir));
}

function lockNumbers(dataDir: string): number[] {
  return readdirSync(dataDir).flatMap((name) => {
    const digits = LOCK_NAME.exec(name)?.[1];
    return digits === undefined ? [] : [Number(digits)];
  });
}

/** The pid that holds lock N and runs. What cannot be read was cut short by a power failure: its process is gone too. */
function liveHolder(dataDir: string, n: number): number | undefined {
  try {
    const content = LOCK_CONTENT.parse(JSON.parse(readFileSync(lockFile(dataDir, n), "utf8")));
    return !content.free && processIdentity(content.pid) === content.identity ? content.pid : undefined;
  } catch (error) {
    // Removed since the listing (or N is 0): linking N+1 fails or step (3) notices.
    if (isCode(error, "ENOENT") || error instanceof SyntaxError || error instanceof z.ZodError)
      return undefined;
    throw error;
  }
}

/** @returns false when lock N exists */
function linkLock(dataDir: string, n: number, content: LockContent): boolean {
  const draft = writeDraft(dataDir, content);
  try {
    linkSync(draft, lockFile(dataDir, n));
    return true;
  } catch (error) {
    if (isCode(error, "EEXIST")) return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function markFree(dataDir: string, n: number, content: LockContent): void {
  try {
    renameSync(writeDraft(dataDir, content), lockFile(dataDir, n));
  } catch (error) {
    // The whole folder was removed while it was held, as tests do: nothing is left to give free.
    if (!isCode(error, "ENOENT")) throw error;
  }
}

function removeOlder(dataDir: string, mine: number): void {
  for (const n of lockNumbers(dataDir)) if (n < mine) rmSync(lockFile(dataDir, n), { force: true });
  for (const name of readdirSync(dataDir)) {
    const pid = DRAFT_NAME.exec(name)?.[1];
    if (pid !== undefined && processIdentity(Number(pid)) === undefined)
      rmSync(path.join(dataDir, name), { force: true });
  }
}

function writeDraft(dataDir: string, content: LockContent): string {
  const draft = path.join(dataDir, `farm.lock.draft.${process.pid}.${randomBytes(6).toString("hex")}`);
  writeFileSync(draft, `${JSON.stringify(content)}\n`, { flag: "wx" });
  return draft;
}

function lockFile(dataDir: string, n: number): string {
  return path.join(dataDir, `farm.lock.${n}`);
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
