import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { applyCommand } from "../../services/pointer/apply/apply-command.ts";
import { applyBatch } from "../../services/pointer/apply-batch.ts";
import { LOCAL_EPOCH } from "../../services/shared/reseed-mark.ts";
import { writeSnapshot } from "../../services/shared/snapshots.ts";
import { DATA_FILE, openStateWriter } from "../../services/shared/state-db.ts";
import { stateDigest } from "../../services/shared/state-db-digest.ts";
import { flipInPages } from "./flip-in-pages.ts";
import { MemoryState } from "./memory-state.ts";
import { nthCommand } from "./nth-command.ts";
import { tempFolder } from "./temp-folder.ts";

const ENTRY = fileURLToPath(new URL("./state-flips-main.js", import.meta.url));
/** A supervisor would start it again; more often than this is a loop. */
const STARTS = 3;
const COMMANDS = 400;
const SNAPSHOT_AT = 300;
const GROUP = 5;
/** Commands that come behind the flip, before and after another start. */
const MORE = [20, 60];

type Served =
  | { readonly digest: string; readonly unseen: number; readonly setAside: boolean }
  | { readonly refused: string; readonly message: string; readonly setAside: boolean };

/** A data folder with the state behind {@link COMMANDS} commands, and a snapshot of an earlier one. */
export async function makeStateFolder(): Promise<string> {
  const dataDir = tempFolder();
  const writer = openStateWriter(join(dataDir, "state"), { replayable: true });
  writer.transact((_, local) => local.put(LOCAL_EPOCH, "epoch"));
  for (let n = 0; n < COMMANDS; n += GROUP) {
    applyBatch(
      writer,
      Array.from({ length: GROUP }, (_, i) => nthCommand(n + i + 1)),
    );
    if (n + GROUP !== SNAPSHOT_AT) continue;
    const digestOf = async (rows: Parameters<typeof stateDigest>[0]) => stateDigest(rows);
    await writeSnapshot(join(dataDir, "snapshots"), { copy: (file) => writer.copy(file), digestOf, keep: 2 });
  }
  writer.settle();
  await writer.close();
  return dataDir;
}

/**
 * Flips one bit of the state's file and starts on it, as often as a supervisor would, before and after further commands. What is served in
 * the end is what the log says, or it is refused with STORE_CORRUPT.
 * @returns what it came to, for counting
 * @throws AssertionError
 */
export function flipInState(
  template: string,
  { random, what }: { random: () => number; what: string },
): string {
  const dataDir = tempFolder();
  fs.cpSync(template, dataDir, { recursive: true });
  const file = join(dataDir, "state", DATA_FILE);
  const where = `${what}, ${flipInPages(file, random)}`;
  const came: string[] = [];
  for (const more of MORE) {
    const served = start(dataDir, COMMANDS + more, where);
    if ("refused" in served) {
      assert.equal(served.refused, "STORE_CORRUPT", `${where}: ${served.message}`);
      came.push("refused");
      break;
    }
    assert.deepEqual(
      [served.digest, served.unseen],
      [expected(COMMANDS + more), 0],
      `${where}: torn, ${JSON.stringify(served)}`,
    );
    came.push(served.setAside ? "made anew" : "whole");
  }
  fs.rmSync(dataDir, { recursive: true });
  return came.join(", ");
}

function start(dataDir: string, until: number, where: string): Served {
  const errors: string[] = [];
  for (let deaths = 0; deaths < STARTS; deaths++) {
    const child = spawnSync(process.execPath, [ENTRY, dataDir, String(until)], {
      encoding: "utf8",
      timeout: 60_000,
    });
    if (child.status === 0) {
      const served = JSON.parse(child.stdout) as Served;
      // A replica that meets damage while it works ends; the next start is what heals.
      if ("refused" in served && deaths < STARTS - 1 && !served.setAside) {
        errors.push(served.message);
        continue;
      }
      return served;
    }
    errors.push(child.signal ?? child.stderr.slice(0, 2_000));
  }
  return assert.fail(`${where}: a crash loop: ${errors.join("\n")}`);
}

const digests = new Map<number, string>();
const memory = new MemoryState();
let applied = 0;

function expected(seq: number): string {
  while (applied < seq) {
    const { command, ...at } = nthCommand(++applied);
    applyCommand(memory, command, at);
    if (applied >= COMMANDS) digests.set(applied, stateDigest(memory.rows()));
  }
  return digests.get(seq) ?? "";
}
