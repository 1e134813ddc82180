import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { EXIT, GranaryError, isErrorCode } from "../../../proto/errors.ts";
import type { BackupJson } from "../../../proto/http-pointer.ts";
import { formatBytes } from "../output/format.ts";
import type { VerbHandler } from "../verb-context.ts";

const POLL_MS = 300;
/** A second. */
const NOTED_POLLS = 3;

/** Lets the farm write a backup on its own machine, and waits for its end. */
export const backup: VerbHandler<"backup"> = async ({ args, api, cwd, output, interrupted }) => {
  const dir = path.resolve(cwd, args[0] ?? "");
  let seen = await api().command<BackupJson>("POST", "/v1/farm:backup", { dir });
  for (let polls = 0; seen.state === "running"; polls++) {
    if (polls === NOTED_POLLS) output.note("the farm writes the backup; Ctrl-C leaves it to that...");
    await sleep(POLL_MS, undefined, { signal: interrupted }).catch(() => undefined);
    if (interrupted.aborted) return EXIT.interrupted;
    seen = await api().get<BackupJson>("/v1/farm/backup");
  }
  if (seen.state === "failed") {
    const { code, detail } = seen.error ?? { code: "INTERNAL", detail: "the backup failed" };
    throw new GranaryError(isErrorCode(code) ? code : "INTERNAL", detail, { dir });
  }
  output.emit(seen, () => {
    output.line(
      `${seen.dir}: ${seen.files} files, ${formatBytes(seen.bytes ?? 0)}, up to command ${seen.seq}`,
    );
    output.note(
      "It holds secrets (tokens of the bus, the admin token). To use it: granary restore DIR --data NEW",
    );
  });
  return EXIT.ok;
};
