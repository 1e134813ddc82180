import { join } from "node:path";
import { EXIT, GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import { runRebuild } from "../../store/run-rebuild.ts";
import { openStore, type Store } from "../../store/store.ts";
import type { Log } from "../shared/log.ts";

/**
 * Opens a farm's store. An index that cannot be read (a child process has died of it, or its first pages are not intact) is made anew from
 * the packs: they hold everything that it did, and a supervisor that only starts again would do so for ever. One that is missing, or
 * that belongs to another store, is left to the operator: a folder may not be mounted.
 * @throws GranaryError STORE_*
 */
export async function openFarmStore({ dataDir, log }: { dataDir: string; log: Log }): Promise<Store> {
  const dir = join(dataDir, "store");
  const options = {
    dir,
    rootsDir: join(dataDir, "roots"),
    ballastBytes: LIMITS.storeBallastBytes,
    log: (level: "info" | "error", message: string, data: object) => log[level](data, message),
  };
  try {
    return await openStore(options);
  } catch (error) {
    if (!(error instanceof GranaryError) || error.detail["rebuild"] !== true) throw error;
    if (error.detail["unreadable"] !== true) throw withCommand(error, dataDir);
    log.error(
      { err: error, dir },
      "STORE_CORRUPT: the store's index cannot be read and is made anew from the packs; that reads the whole store and may take long",
    );
    const dispose = exitOnSignal();
    try {
      await runRebuild(dir, options);
    } finally {
      dispose();
    }
    return await openStore(options);
  }
}

function withCommand(error: GranaryError, dataDir: string): GranaryError {
  const hint = `Nothing was deleted. Make the index anew from the packs: granary store rebuild-index --data ${dataDir}`;
  return new GranaryError(error.code, error.message, { ...error.detail, hint }, { cause: error });
}

/** A rebuild of hours does not wait for its end: until it has one, nothing but a draft is written. */
function exitOnSignal(): () => void {
  const exit = (): never => process.exit(EXIT.cancelled);
  process.on("SIGTERM", exit).on("SIGINT", exit);
  return () => void process.off("SIGTERM", exit).off("SIGINT", exit);
}
