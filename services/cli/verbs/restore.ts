import path from "node:path";
import { EXIT } from "../../../proto/errors.ts";
import { restoreBackup } from "../../shared/restore-backup.ts";
import { formatBytes } from "../output/format.ts";
import { shellWords } from "../output/shell-words.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Makes a new data folder from a backup, verified before it gets its name. */
export const restore: VerbHandler<"restore"> = async ({ args, flags, cwd, output }) => {
  const data = path.resolve(cwd, flags.text("data") ?? "./.granary");
  const result = await restoreBackup({
    dir: path.resolve(cwd, args[0] ?? ""),
    dataDir: data,
    log: (level, message) => (level === "error" ? output.warn(message) : output.note(message)),
  });
  output.emit({ data, ...result }, () => {
    output.line(
      `${data}: ${result.releases} releases whole, ${result.files} files, ${formatBytes(result.bytes)}, up to command ${result.seq}`,
    );
    output.line(`Start it: ${shellWords(["granary", "up", "--data", data])}`);
  });
  return EXIT.ok;
};
