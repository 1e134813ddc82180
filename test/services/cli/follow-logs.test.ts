import assert from "node:assert/strict";
import { test } from "node:test";
import { runCli } from "../../helpers/cli.ts";
import { sendJson, sendProblem, startFakeFarm } from "./fake-farm.ts";

test("logs -f waits for a farm that restarts, also on the first contact, and ends with the publish", async (t) => {
  const line = (n: number) =>
    `id: 1-${n}\nevent: line\ndata: {"cursor":"1-${n}","at":"2026-01-02T03:04:05.678Z","level":"info","text":"line ${n}"}\n\n`;
  const behind: (string | undefined)[] = [];
  const farm = await startFakeFarm({
    "GET /v1/publishes/pub_1/logs": ({ response, raw, headers }) => {
      behind.push(String(headers["last-event-id"]));
      if (behind.length === 1) return raw.socket.destroy();
      if (behind.length === 2)
        return sendProblem(response, "UNAVAILABLE", 503, "starting", { "retry-after": "0" });
      response.writeHead(200, { "content-type": "text/event-stream" });
      if (behind.length > 3) return response.end(`${line(3)}event: end\ndata: {"state":"failed"}\n\n`);
      response.write(`${line(1)}${line(2)}${line(3).slice(0, 30)}`);
      return setTimeout(() => response.destroy(), 50);
    },
  });
  t.after(() => farm.close());
  const result = await runCli(["logs", "pub_1", "-f"], { env: farm.env });
  assert.equal(result.code, 0, result.stderr);
  assert.deepEqual(result.stdout.match(/line \d/g), ["line 1", "line 2", "line 3"]);
  assert.deepEqual(behind, ["undefined", "undefined", "undefined", "1-2"]);
});

test("what is told to be run next goes to the same farm", async (t) => {
  const farm = await startFakeFarm({
    "GET /v1/publishes/pub_1/logs": ({ response }) =>
      sendJson(response, 200, { items: [], next_cursor: null, state: "queued" }),
  });
  t.after(() => farm.close());
  const args = ["logs", "pub_1", "--url", farm.url];
  const { stderr } = await runCli(args, { env: { GRANARY_TOKEN: "gr_test" } });
  assert.match(stderr, new RegExp(`follow it: granary logs pub_1 -f --url ${farm.url}\n`));
});

test("a farm that never gets to a first answer is given up with exit 10", async (t) => {
  const farm = await startFakeFarm({ "GET /v1/publishes/pub_1/logs": ({ raw }) => raw.socket.destroy() });
  t.after(() => farm.close());
  const args = ["logs", "pub_1", "-f"];
  const result = await runCli(args, { env: farm.env });
  assert.equal(result.code, 10, result.stderr);
  const nobody = await runCli(args, { env: { ...farm.env, GRANARY_URL: "http://127.0.0.1:9" } });
  assert.match(nobody.stderr, /^error NO_FARM: No farm at [^\n]*\nthe url is from GRANARY_URL\n$/);
});
