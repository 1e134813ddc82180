import assert from "node:assert/strict";
import { test } from "node:test";
import { EXIT } from "../../../proto/errors.ts";
import { runCli } from "../../helpers/cli.ts";
import { sendJson, startFakeFarm } from "./fake-farm.ts";

test("events are asked for in the format that is told, and printed as they come", async (t) => {
  const event = {
    id: "acme/bot/1",
    source: "/orgs/acme/projects/bot",
    type: "dev.cdevents.service.deployed.0.2.0",
    subject: "acme/bot",
    time: "2026-11-21T12:00:00.000Z",
    sequence: "1",
    granarycursor: "3-0",
    data: { context: { version: "0.4.1" } },
  };
  const farm = await startFakeFarm({
    "GET /v1/events": ({ response }) => sendJson(response, 200, { items: [event], next_cursor: null }),
  });
  t.after(() => farm.close());
  const listed = await runCli(["event", "ls", "--format", "cdevents", "--json"], { env: farm.env });
  assert.deepEqual(JSON.parse(listed.stdout), [event], listed.stderr);
  assert.equal(farm.seen.at(-1)?.query.get("format"), "cdevents");
  const human = await runCli(["event", "ls", "--format", "cdevents"], { env: farm.env });
  assert.match(human.stdout, /3-0 .* acme\/bot +dev\.cdevents\.service\.deployed\.0\.2\.0/);
  const wrong = await runCli(["event", "tail", "--format", "xml"], { env: farm.env });
  assert.equal(wrong.code, EXIT.usage);
  assert.match(wrong.stderr, /--format is one of granary, cdevents/);
});
