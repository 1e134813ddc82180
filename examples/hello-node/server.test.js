import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import { createApp } from "./server.js";

test("greets by name", async (t) => {
  const server = createApp().listen(0);
  t.after(() => server.close());
  await once(server, "listening");
  const answer = await fetch(`http://localhost:${server.address().port}/hello?name=Ada`);
  assert.equal(await answer.text(), "Hello, Ada!\n");
});
