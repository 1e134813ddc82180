import assert from "node:assert/strict";
import { test } from "node:test";
import { GranaryError } from "../../../proto/errors.ts";
import type { BackupJson } from "../../../proto/http-pointer.ts";
import { formatToken } from "../../../proto/token.ts";
import { backupRoutes } from "../../../services/api/backup-routes.ts";
import type { ApiContext } from "../../../services/api/context.ts";
import { closeHttpServer, createHttpServer } from "../../../services/shared/http-server.ts";
import { createLog } from "../../../services/shared/log.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";
import { waitUntil } from "../../helpers/wait-until.ts";

test("a backup that the end of the farm cuts off fails by itself: its lease is left to the next start", async () => {
  const log = createLog({ level: "fatal", name: "test" });
  let released = 0;
  const closing = async (): Promise<never> => {
    throw new GranaryError("UNAVAILABLE", "the store is closing");
  };
  const context = {
    store: {
      leases: () => [],
      acquireLease: closing,
      releaseLease: () => {
        released += 1;
        return closing();
      },
    },
    dataDir: tempFolder(),
    log,
    now: Date.now,
    assertConfirmed: () => undefined,
    read: () => ({ id: "t1234567890", org: "acme", scopes: ["farm:admin"] }),
  } as unknown as ApiContext;
  const server = createHttpServer({ log });
  backupRoutes(server, context);
  const url = await server.listen({ host: "127.0.0.1", port: 0 });
  const token = formatToken("tok", "t1234567890", "a".repeat(32));
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  try {
    const begun = await fetch(`${url}/v1/farm:backup`, {
      method: "POST",
      headers,
      body: JSON.stringify({ dir: tempFolder() }),
    });
    assert.equal(begun.status, 202, await begun.text());
    await waitUntil("its lease was let go", 5_000, () => released === 1);
    const last = (await (await fetch(`${url}/v1/farm/backup`, { headers })).json()) as BackupJson;
    assert.equal(last.state, "failed");
  } finally {
    await closeHttpServer(server, 0);
  }
});
