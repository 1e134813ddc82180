import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { runCli } from "../../helpers/cli.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";
import { sendJson, startFakeFarm } from "./fake-farm.ts";

for (const [words, wanted] of [
  ["store why xyz", /USAGE: not a digest: "xyz"/],
  ["rollback acme/bot --to 2", /--to wants a version such as v3, not "2"; did you mean v2\?/],
  ["at acme/bot yesterday", /TIME wants 2026-11-21T12:00:00Z, or how long ago: .*; not "yesterday"/],
  ["publish . --ttl 3h", /--ttl is about a preview: name it with --preview NAME/],
  ["token create --scope read --org acme -p other/bot", /--org acme and -p other\/bot name two orgs/],
] as const)
  test(`${words}: what no farm would take is said in words, and no farm is asked`, async () => {
    const result = await runCli([...words.split(" "), "--url", "http://127.0.0.1:1"]);
    assert.equal(result.code, 4);
    assert.match(result.stderr, wanted);
  });

test("-p ORG/PROJECT names the org of a token, as it does for publish", async (t) => {
  const farm = await startFakeFarm({
    "POST /v1/orgs/acme/tokens": ({ response, body }) =>
      sendJson(response, 201, {
        id: "t1",
        org: "acme",
        scopes: ["read"],
        token: "gr_1",
        expires_at: null,
        ...JSON.parse(body.toString()),
      }),
  });
  t.after(() => farm.close());
  const made = await runCli(["token", "create", "--scope", "read", "-p", "acme/bot"], { env: farm.env });
  assert.match(made.stderr, /^t1 for acme\/bot: read; never expires/, made.stderr);
});

test("publish without the scope that it needs sends no content", async (t) => {
  const farm = await startFakeFarm({
    "GET /v1/whoami": ({ response }) => sendJson(response, 200, { org: "acme", scopes: ["publish"] }),
  });
  t.after(() => farm.close());
  const cwd = tempFolder();
  writeFileSync(path.join(cwd, "a"), "1");
  const args = ["publish", ".", "-p", "acme/bot", "--commit", "1111111", "--preview", "pr-1"];
  const result = await runCli(args, { cwd, env: farm.env });
  assert.equal(result.code, 5);
  assert.match(result.stderr, /error FORBIDDEN: the token lacks the scope preview/);
  assert.deepEqual(
    farm.seen.map(({ method }) => method),
    ["GET"],
  );
});
