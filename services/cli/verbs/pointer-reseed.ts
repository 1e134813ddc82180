import { existsSync } from "node:fs";
import { EXIT, GranaryError } from "../../../proto/errors.ts";
import { lockDataDir } from "../../shared/data-lock.ts";
import { type ReseedResult, reseedLog } from "../../shared/reseed-log.ts";
import { refuseUnfinishedRestore } from "../../shared/restore-folder.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Begins a new command log behind the state of a stopped farm. */
export const pointerReseed: VerbHandler<"pointer reseed"> = async ({ flags, output }) => {
  const data = flags.text("data") ?? "./.granary";
  if (!existsSync(data)) throw new GranaryError("NOT_FOUND", `there is no data folder ${data}`);
  const lock = await lockDataDir(data);
  try {
    refuseUnfinishedRestore(data);
    const result = await reseedLog({
      dataDir: data,
      natsUrl: flags.text("nats"),
      confirmed: flags.has("yes"),
      log: { info: () => undefined, warn: (_detail, message) => output.note(message) },
    });
    output.emit(result, () => {
      for (const line of explained(result)) output.line(line);
    });
    return EXIT.ok;
  } finally {
    lock.release();
  }
};

function explained(result: ReseedResult): string[] {
  const { applied_seq, log, set_aside, needed, reseeded, file } = result;
  if (!needed)
    return [
      `Log and state fit (${applied_seq} commands applied, the log ends at ${log.last_seq}): nothing to do.`,
    ];
  const lost =
    set_aside === 0
      ? "The log has no command that this state lacks: only what it was told after its last command and never applied here is lost."
      : `${set_aside} commands of the log (${log.first_seq} to ${log.last_seq}) are of another history and take no effect.`;
  const kept = `Kept: everything up to command ${applied_seq}: releases, pointers, tokens, audit, and every event with its cursor.`;
  if (!reseeded)
    return [
      kept,
      lost,
      "Unfinished publishes are put in the queue again.",
      "Nothing was changed. To go on: the same with --yes",
    ];
  return [
    `The log goes on behind command ${applied_seq}.`,
    ...(file === undefined ? [] : [`What the old log had is in ${file}`]),
    "Start the farm: granary up",
  ];
}
