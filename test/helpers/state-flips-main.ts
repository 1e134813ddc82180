import { join } from "node:path";
import { GranaryError } from "../../proto/errors.ts";
import { applyBatch } from "../../services/pointer/apply-batch.ts";
import { closedInOrder, recoverState } from "../../services/shared/recover-state.ts";
import { openStateReader, openStateWriter } from "../../services/shared/state-db.ts";
import { stateDigest } from "../../services/shared/state-db-digest.ts";
import type { StateKey } from "../../services/shared/state-db-tx.ts";
import { KEYS } from "../../services/shared/state-keys.ts";
import { nthCommand } from "./nth-command.ts";

/**
 * Child process of `state-flips.ts`: opens a state as a farm does, catches up with the log to `until`, and prints what it serves then, or
 * the code that it was refused with. It may die of what the parent did to the file.
 */
const [dataDir = "", until = ""] = process.argv.slice(2);
const dir = join(dataDir, "state");
let setAside = false;
const log = {
  warn(_detail: object, message: string): void {
    if (message.includes("set aside")) setAside = true;
  },
};

async function serve(): Promise<object> {
  await recoverState({ dir, snapshots: join(dataDir, "snapshots"), log });
  const writer = openStateWriter(dir, { replayable: true });
  const reader = openStateReader(dir);
  for (let n = (writer.read((view) => view.get(KEYS.meta()))?.seq ?? 0) + 1; n <= Number(until); n++)
    applyBatch(writer, [nthCommand(n)]);
  const digest = stateDigest(reader.rows());
  let unseen = 0;
  for (const [key] of reader.rows())
    if (reader.read((view) => view.get(key as StateKey<unknown>)) === undefined) unseen += 1;
  await reader.close();
  await writer.close();
  closedInOrder(dir);
  return { digest, unseen, setAside };
}

try {
  process.stdout.write(`${JSON.stringify(await serve())}\n`);
} catch (error) {
  if (!(error instanceof GranaryError)) throw error;
  process.stdout.write(`${JSON.stringify({ refused: error.code, message: error.message, setAside })}\n`);
}
