import path from "node:path";
import { GranaryError } from "../../proto/errors.ts";
import { BackupBody } from "../../proto/http.ts";
import type { BackupJson } from "../../proto/http-pointer.ts";
import { LIMITS } from "../../proto/limits.ts";
import { asGranaryError } from "../../store/as-granary-error.ts";
import { requireScope } from "../shared/authenticate.ts";
import type { HttpServer } from "../shared/http-server.ts";
import { BACKUP_LEASE, writeBackup } from "../shared/write-backup.ts";
import type { ApiContext } from "./context.ts";
import { parseBody, principalOf } from "./request.ts";

/** A backup runs beside everything else, one at a time: it is begun, and then looked at. */
export function backupRoutes(server: HttpServer, context: ApiContext): void {
  let last: BackupJson | undefined;
  // A store that fails or closes keeps it until it ends by itself, or until the next start.
  const release = (): Promise<void> =>
    context.store
      .releaseLease(BACKUP_LEASE)
      .catch((error: unknown) => context.log.warn({ err: error }, "a backup's lease stays"));
  // Backups are made by this process: one that its crash ended holds nothing any more.
  if (context.store.leases().some(({ id }) => id === BACKUP_LEASE)) void release();

  const run = async (dir: string): Promise<void> => {
    try {
      await context.store.acquireLease(BACKUP_LEASE, LIMITS.backupMs);
      // One that looked at the leases before goes on.
      await context.store.collectionEnded();
      const { dataDir, version: granary, now } = context;
      const copyState = (file: string) => context.replica.copyState(file);
      const result = await writeBackup({ dir, dataDir, granary, now, copyState });
      last = { dir, state: "done", ...result };
      context.log.info(last, "a backup was written");
    } catch (error) {
      const failure = asGranaryError(error);
      last = { dir, state: "failed", error: { code: failure.code, detail: failure.message } };
      context.log.error({ dir, err: error }, "a backup failed");
    } finally {
      await release();
    }
  };

  server.post("/v1/farm::backup", async (request, reply) => {
    requireScope(principalOf(context, request), "farm:admin");
    const { dir } = parseBody(BackupBody, request.body);
    const data = path.resolve(context.dataDir);
    if (
      !path.isAbsolute(dir) ||
      path.resolve(dir) === data ||
      path.resolve(dir).startsWith(`${data}${path.sep}`)
    )
      throw new GranaryError("USAGE", "dir wants an absolute path outside the data folder", { dir });
    if (last?.state === "running" && last.dir !== dir)
      throw new GranaryError("STATE_CONFLICT", `a backup to ${last.dir} is being written`, { dir: last.dir });
    if (last?.state !== "running") {
      last = { dir, state: "running" };
      void run(dir);
    }
    return reply.code(202).send(last);
  });

  server.get("/v1/farm/backup", async (request, reply) => {
    requireScope(principalOf(context, request), "farm:read");
    if (last === undefined) throw new GranaryError("NOT_FOUND", "no backup was begun since the farm started");
    return reply.send(last);
  });
}
