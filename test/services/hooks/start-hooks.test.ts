import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startHooks } from "../../../services/hooks/start-hooks.ts";
import type { Applied } from "../../../services/shared/replica.ts";
import { waitUntil } from "../../helpers/wait-until.ts";
import { Machine, ORG } from "../pointer/machine.ts";

test("webhooks are looked at when there are events of their org or they change, not after every command", async () => {
  const machine = new Machine();
  machine.ok({ type: "org.create" });
  let looks = 0;
  const sent: string[] = [];
  let tell: ((applied: Pick<Applied, "orgs">) => void) | undefined;
  const hooks = startHooks(
    {
      hooks: {
        read: async () => undefined,
        write: async () => 1,
        record: async () => undefined,
        deliveries: async () => [],
      },
      secrets: { open: () => "whsec_AAAA" },
      log: { info: () => undefined, warn: () => undefined } as never,
      read: (body) => {
        looks += 1;
        return body(machine.state);
      },
      submit: async () => assert.fail("nothing is to be disabled"),
      send: async ({ url }) => {
        sent.push(url);
        return { status: 200, error: null, retryAfterMs: undefined };
      },
      now: () => machine.timeMs,
      random: () => 0,
      replica: {
        onApplied: (listener) => {
          tell = listener as typeof tell;
          return () => undefined;
        },
      },
    },
    { alone: true },
  );
  await waitUntil("it has begun", 5_000, () => tell !== undefined && looks > 0);
  const before = looks;
  for (let group = 0; group < 50; group++) {
    tell?.({ orgs: [] });
    await sleep(2);
  }
  assert.equal(looks, before);

  const webhook = { webhook_id: "whk_1", url: "https://x", types: [], sealed_secret: "s" };
  machine.ok({ type: "webhook.create", ...webhook });
  machine.ok({ type: "webhook.ask", webhook_id: "whk_1", ask: { kind: "ping" } });
  tell?.({ orgs: [ORG] });
  await waitUntil("it is called", 5_000, () => sent.length === 1);
  await hooks.close();
});
