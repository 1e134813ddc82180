import { existsSync } from "node:fs";
import { join } from "node:path";
import { EXIT, GranaryError } from "../../../proto/errors.ts";
import { rebuildIndex } from "../../../store/rebuild-index.ts";
import { lockDataDir } from "../../shared/data-lock.ts";
import { refuseUnfinishedRestore } from "../../shared/restore-folder.ts";
import { printFields } from "../output/print-fields.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Rebuilds the index of a stopped farm from packs and big files alone. */
export const storeRebuildIndex: VerbHandler<"store rebuild-index"> = async ({ flags, output }) => {
  const data = flags.text("data") ?? "./.granary";
  if (!existsSync(join(data, "store", "packs")))
    throw new GranaryError("USAGE", `${data} is no farm's data folder: it has no store/packs`);
  const lock = await lockDataDir(data);
  try {
    refuseUnfinishedRestore(data);
    const result = await rebuildIndex(join(data, "store"), {
      log: (_level, message) => output.note(message),
    });
    output.emit(result, () =>
      printFields(
        output,
        Object.entries(result).map(([key, value]) => [key, String(value)]),
      ),
    );
    return EXIT.ok;
  } finally {
    lock.release();
  }
};
