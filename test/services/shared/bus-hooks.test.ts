import assert from "node:assert/strict";
import { test } from "node:test";
import { hookBus } from "../../../services/shared/bus-hooks.ts";

test("the log of deliveries is away while its nats-server is, and that is no failure of ours", async () => {
  const consumers = { get: () => Promise.reject(new Error("timeout")) };
  const bus = hookBus({ js: { consumers }, manager: {} } as unknown as Parameters<typeof hookBus>[0]);
  await assert.rejects(bus.deliveries("acme", "whk_1"), {
    code: "UNAVAILABLE",
    detail: { retry_after_s: 2 },
  });
});
