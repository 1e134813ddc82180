import { writeSync } from "node:fs";
import { GranaryError } from "../../proto/errors.ts";
import { applyBatch } from "../../services/pointer/apply-batch.ts";
import { openStateWriter } from "../../services/shared/state-db.ts";
import { KEYS } from "../../services/shared/state-keys.ts";
import { nthCommand } from "./nth-command.ts";

/** Applies commands to the state in a folder and says each number once it is committed; `many` of them, or up to an error, then waits to be killed. */
const [dir = "", many = "", settles = ""] = process.argv.slice(2);
const writer = openStateWriter(dir, { replayable: true });
const first = (writer.read((view) => view.get(KEYS.meta()))?.seq ?? 0) + 1;
try {
  for (let n = first; n < first + Number(many); n++) {
    applyBatch(writer, [nthCommand(n)]);
    if (settles !== "") writer.settle();
    writeSync(1, `${n}\n`);
  }
} catch (error) {
  writeSync(1, `${error instanceof GranaryError ? error.code : String(error)}\n`);
}
setInterval(() => undefined, 1_000);
