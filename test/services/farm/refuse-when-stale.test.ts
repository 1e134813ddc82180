import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { refuseWhenStale } from "../../../services/farm/refuse-when-stale.ts";
import type { HttpServer } from "../../../services/shared/http-server.ts";
import type { ReplicaHealth } from "../../../services/shared/replica.ts";

type Hook = (request: { url: string }, reply: unknown, done: (error?: Error) => void) => void;

/** A server whose log fell silent 2.2 s ago. */
async function silent() {
  let health: ReplicaHealth = { up: false, reason: "a test" };
  let hook: Hook = () => undefined;
  const http = {
    addHook: (_name: string, added: Hook) => {
      hook = added;
    },
  };
  const stop = refuseWhenStale(http as unknown as HttpServer, { health: () => health });
  await sleep(2_200);
  return {
    answers: () => {
      health = { up: true };
    },
    ask: (url: string) =>
      new Promise<string>((resolve) =>
        hook({ url }, undefined, (error) => resolve(error?.message ?? "served")),
      ),
    stop,
  };
}

test("a request waits a moment for a log that was held up, and is refused when that lasts", async () => {
  const [brief, lasting] = await Promise.all([silent(), silent()]);
  const waiting = brief.ask("/v1/whoami");
  brief.answers();
  const refused = lasting.ask("/v2/acme/bot/tags/list");
  assert.equal(await lasting.ask("/livez"), "served");
  assert.equal(await waiting, "served");
  assert.match(await refused, /the command log does not answer/);
  const last = lasting.ask("/v1/whoami");
  brief.stop();
  lasting.stop();
  assert.match(await last, /does not answer/, "a server that closes leaves nobody waiting");
});
