import assert from "node:assert/strict";
import { test } from "node:test";
import { formatToken } from "../../../proto/token.ts";
import { runCli } from "../../helpers/cli.ts";
import { sendProblem, startFakeFarm } from "./fake-farm.ts";

const NOT_THERE = "POST /v1/orgs/bot/holds";

test("a token that is refused is named by where it came from, and told from one that was copied in part", async (t) => {
  const farm = await startFakeFarm({
    "GET /v1/whoami": ({ response }) => sendProblem(response, "UNAUTHENTICATED", 401, "no valid token"),
  });
  t.after(() => farm.close());
  const inPart = await runCli(["current", "bot"], { env: farm.env });
  assert.equal(inPart.code, 5);
  assert.match(inPart.stderr, /the token is from GRANARY_TOKEN and is not a whole one/);
  const whole = formatToken("tok", "abcdefghij", "0123456789ABCDEFGHIJabcdefghij01");
  const refused = await runCli(["current", "bot", "--token", whole], { env: farm.env });
  assert.match(refused.stderr, /^the token is from --token\n/m);
  assert.ok(!(inPart.stderr + refused.stderr).includes(whole.slice(20, 40)), "never the token itself");
  const login = await runCli(["login", "--url", farm.url], { env: farm.env, stdin: "gr_other\n" });
  assert.doesNotMatch(login.stderr, /the token is from/);
});

test("what is not there because it was written otherwise is told how it is written", async (t) => {
  const farm = await startFakeFarm({
    [NOT_THERE]: ({ response }) => sendProblem(response, "NOT_FOUND", 404, "there is no org bot"),
  });
  t.after(() => farm.close());
  const hold = await runCli(["hold", "bot"], { env: farm.env });
  assert.equal(hold.code, 6);
  assert.match(hold.stderr, /hint: A name alone is an org here; a project is ORG\/bot/);
  for (const reference of ["bot/v1", "v1"]) {
    const shown = await runCli(["show", reference], { env: farm.env });
    assert.match(shown.stderr, /hint: A release is PROJECT@vN or ORG\/PROJECT@vN/, reference);
  }
});

test("what is no farm is not asked for names", async (t) => {
  const farm = await startFakeFarm({
    "GET /v1/whoami": ({ response }) => {
      response.writeHead(404, { "content-type": "text/html" });
      response.end("<h1>Not Found</h1>");
    },
  });
  t.after(() => farm.close());
  const { code, stderr } = await runCli(["current", "bot"], { env: farm.env });
  assert.equal(code, 6);
  assert.match(stderr, /answered 404: <h1>[^\n]*\nhint: Check the URL: what answers there/);
});

test("https where plain HTTP is spoken is not told to be tried again later", async (t) => {
  const farm = await startFakeFarm({});
  t.after(() => farm.close());
  const url = farm.url.replace("http:", "https:");
  const result = await runCli(["current", "acme/bot"], { env: { ...farm.env, GRANARY_URL: url } });
  assert.equal(result.code, 10);
  assert.match(result.stderr, /does not speak https\nhint: Check the URL: http:\/\/ may be meant/);
});
