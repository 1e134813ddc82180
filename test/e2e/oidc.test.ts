import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { JWTPayload } from "jose";
import type { AuditJson, Page, Problem, TokenJson, WhoamiJson } from "../../proto/http.ts";
import type { TrustJson } from "../../proto/http-trust.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { runCli } from "../helpers/cli.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { type Answer, makeToken, problemOf, publish, publishReady, send } from "../helpers/farm-requests.ts";
import { type OidcIssuer, startOidcIssuer } from "../helpers/oidc-issuer.ts";

const folder = tempDir("oidc");
const AUDIENCE = "https://farm.example";
const TRUSTS = "/v1/orgs/default/trusts";
let farm: TestFarm;
let issuer: OidcIssuer;

before(async () => {
  issuer = await startOidcIssuer({
    claims: {
      aud: AUDIENCE,
      sub: "repo:acme/bot:ref:refs/heads/main",
      repository: "acme/bot",
      repository_id: "4711",
      repository_owner_id: "99",
      ref: "refs/heads/main",
    },
  });
  const config = join(folder, "farm.toml");
  writeFileSync(config, `oidc_issuers = [${JSON.stringify(issuer.url)}, "https://gitlab.com"]\n`);
  farm = await startTestFarm({ data: join(folder, "data"), args: ["--config", config] });
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  await issuer.close();
  removeDir(folder);
});

function trustBody(more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    provider: "github",
    issuer: issuer.url,
    audience: AUDIENCE,
    claims: { repository_id: "4711", ref: ["refs/heads/main", "refs/heads/next"] },
    scopes: ["publish", "read"],
    project: "bot",
    ...more,
  };
}

async function addTrust(more: Record<string, unknown> = {}, org = "default"): Promise<TrustJson> {
  const answer = await send<TrustJson>(farm, `/v1/orgs/${org}/trusts`, { json: trustBody(more) });
  assert.equal(answer.status, 201, answer.text);
  return answer.body;
}

/** Exchanges without any token of the farm, as a CI job does. */
async function exchange(
  token: string,
  more: Record<string, unknown> = {},
): Promise<Answer<TokenJson & Problem>> {
  const response = await fetch(`${farm.url}/v1/oidc/token`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token, org: "default", project: "bot", ...more }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: JSON.parse(text) };
}

describe("a CI job", () => {
  test("gets a token of ten minutes with the trust's scopes and project, and publishes with it", async () => {
    const trust = await addTrust();
    const answer = await exchange(await issuer.sign());
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.headers.get("cache-control"), "no-store");
    const { token, id, expires_at } = answer.body;
    const leftMs = Date.parse(expires_at ?? "") - Date.now();
    assert.ok(leftMs > 9 * 60_000 && leftMs <= 10 * 60_000, String(expires_at));
    const who = await send<WhoamiJson>(farm, "/v1/whoami", { token });
    assert.deepEqual(
      [who.body.token_id, who.body.org, who.body.project, who.body.scopes],
      [id, "default", "bot", ["publish", "read"]],
    );
    await publishReady(farm, "bot", appArchive({ a: "ci" }), { token });
    problemOf(await publish(farm, "other", appArchive({ a: "ci" }), { token }), 404, "NOT_FOUND");
    problemOf(await send(farm, TRUSTS, { token }), 403, "FORBIDDEN");

    const { items } = await farm.json<Page<AuditJson>>("/v1/orgs/default/audit?limit=200");
    const row = items.find((one) => one.action === "oidc.exchange");
    assert.deepEqual(
      [row?.actor, row?.resource, row?.reason, row?.project, row?.ok],
      [`trust:${trust.id}`, id, "repo:acme/bot:ref:refs/heads/main", "bot", true],
    );
    assert.equal((await send(farm, `${TRUSTS}/${trust.id}`, { method: "DELETE" })).status, 204);
    problemOf(await send(farm, "/v1/whoami", { token }), 401, "UNAUTHENTICATED");
  });

  test("is refused with one and the same answer, whatever is wrong, and leaves no trace but a log line", async () => {
    const trust = await addTrust();
    const now = Math.floor(Date.now() / 1000);
    const used = await issuer.sign();
    assert.equal((await exchange(used)).status, 200);
    const stranger = await startOidcIssuer({ claims: { aud: AUDIENCE, repository_id: "4711" } });
    const wrong: Record<string, JWTPayload> = {
      "another repository id, with the trusted one's name": { repository_id: "4712" },
      "another branch": { ref: "refs/heads/main2" },
      "another audience": { aud: "https://other.example" },
      "two audiences": { aud: [AUDIENCE, "https://other.example"] },
      "a claim that is a list": { repository_id: ["4711"] },
      "no claim": { repository_id: undefined },
      expired: { iat: now - 900, nbf: now - 900, exp: now - 600 },
    };
    const cases: [string, string, Record<string, unknown>?][] = [
      ["used before", used],
      ["another project", await issuer.sign(), { project: "other" }],
      ["another org", await issuer.sign(), { org: "no-such-org" }],
      ["an issuer that nobody trusts", await stranger.sign()],
      ["no token at all", "nonsense"],
      ["an unknown key", await issuer.sign({}, { kid: "nobody" })],
    ];
    for (const [what, claims] of Object.entries(wrong)) cases.push([what, await issuer.sign(claims)]);
    const audited = (await farm.json<Page<AuditJson>>("/v1/orgs/default/audit?limit=200")).items.length;
    const tokens = (await farm.json<Page<TokenJson>>("/v1/orgs/default/tokens?limit=200")).items.length;
    const answers = new Set<string>();
    for (const [what, token, more] of cases) {
      const answer = await exchange(token, more);
      problemOf(answer, 401, "ID_TOKEN_REFUSED");
      assert.ok(!JSON.stringify(answer.body).includes(trust.id), what);
      answers.add(JSON.stringify({ ...answer.body, request_id: "" }).replaceAll("no-such-org", "default"));
    }
    assert.equal(answers.size, 1, [...answers].join("\n"));
    assert.deepEqual(stranger.requests, [], "nobody asks an issuer that is not trusted");
    await stranger.close();
    assert.equal(
      (await farm.json<Page<AuditJson>>("/v1/orgs/default/audit?limit=200")).items.length,
      audited,
    );
    assert.equal(
      (await farm.json<Page<TokenJson>>("/v1/orgs/default/tokens?limit=200")).items.length,
      tokens,
    );
    assert.match(farm.log(), /id token refused/);
    for (const [, token] of cases) assert.ok(!farm.log().includes(token.split(".")[2] || "nonsense"));
    await send(farm, `${TRUSTS}/${trust.id}`, { method: "DELETE" });
  });

  test("that sends many copies of one id token at once gets one token", async () => {
    const trust = await addTrust({ project: undefined });
    const token = await issuer.sign();
    const answers = await Promise.all(Array.from({ length: 12 }, () => exchange(token)));
    assert.deepEqual(answers.map((answer) => answer.status).sort(), [
      200,
      ...Array.from({ length: 11 }, () => 401),
    ]);
    await send(farm, `${TRUSTS}/${trust.id}`, { method: "DELETE" });
  });

  test("that sends what is no request hears so, before anything is looked up", async () => {
    const bodies: [unknown, number, string][] = [
      [{}, 400, "USAGE"],
      [{ token: 7, org: "default" }, 400, "USAGE"],
      [{ token: "x".repeat(20_000), org: "default" }, 400, "USAGE"],
      [{ token: "x".repeat(300_000), org: "default" }, 413, "BODY_TOO_LARGE"],
      [{ token: "x", org: "../etc" }, 400, "NAME_INVALID"],
      [{ token: "x", org: "default", project: "a\u0000b" }, 400, "NAME_INVALID"],
      [{ token: "x", org: "default", scopes: ["admin"] }, 400, "USAGE"],
    ];
    for (const [body, status, code] of bodies)
      problemOf(await send(farm, "/v1/oidc/token", { json: body, token: "" }), status, code);
  });
});

describe("a trust", () => {
  test("names claims by ids that nobody can take over, and grants no more than ten minutes are worth", async () => {
    const wrong: [Record<string, unknown>, number, string, string?][] = [
      [{ claims: { repository: "acme/bot" } }, 400, "USAGE", "/claims/repository"],
      [{ claims: { repository_id: "4711", sub: "repo:acme/bot" } }, 400, "USAGE", "/claims/sub"],
      [{ claims: { repository_owner: "acme" } }, 400, "USAGE", "/claims/repository_owner"],
      [{ claims: { ref: "refs/heads/main" } }, 400, "USAGE", "/claims"],
      [{ claims: { repository_id: "acme/bot" } }, 400, "USAGE", "/claims/repository_id"],
      [{ claims: { repository_id: [] } }, 400, "USAGE", "/claims/repository_id"],
      [{ claims: {} }, 400, "USAGE", "/claims"],
      [{ provider: "gitlab", claims: { project_path: "acme/bot" } }, 400, "USAGE", "/claims/project_path"],
      [{ provider: "generic", claims: {} }, 400, "USAGE", "/claims"],
      [{ provider: "generic", claims: { aud: "x" } }, 400, "USAGE", "/claims/aud"],
      [{ scopes: ["admin"] }, 400, "USAGE", "/scopes/0"],
      [{ scopes: ["token:admin"] }, 400, "USAGE", "/scopes/0"],
      [{ scopes: ["farm:read"] }, 400, "USAGE", "/scopes/0"],
      [{ audience: "" }, 400, "USAGE", "/audience"],
      [{ issuer: "http://ci.example" }, 400, "USAGE", "/issuer"],
      [{ issuer: "https://ci.example/?x=1" }, 400, "USAGE", "/issuer"],
      [{ project: "Not A Name" }, 400, "NAME_INVALID"],
      [{ extra: 1 }, 400, "USAGE"],
    ];
    for (const [more, status, code, pointer] of wrong) {
      const problem = problemOf(await send(farm, TRUSTS, { json: trustBody(more) }), status, code);
      if (pointer !== undefined) assert.equal(problem.errors?.[0]?.pointer, pointer, JSON.stringify(more));
    }
  });

  test("that is asked for again under its key is one", async () => {
    const headers = { "idempotency-key": "trust-1" };
    const made = () => send<TrustJson>(farm, TRUSTS, { json: trustBody(), headers });
    const [one, two] = [await made(), await made()];
    assert.deepEqual([one.status, two.body.id], [201, one.body.id], two.text);
    assert.equal((await send(farm, `${TRUSTS}/${one.body.id}`, { method: "DELETE" })).status, 204);
  });

  test("in an issuer that the farm does not name is for farm:admin, and scopes are those of its creator", async () => {
    const { token } = await makeToken(farm, "default", ["token:admin", "read"]);
    problemOf(
      await send(farm, TRUSTS, { json: trustBody({ scopes: ["publish"] }), token }),
      403,
      "FORBIDDEN",
    );
    const { token: admin } = await makeToken(farm, "default", ["admin"]);
    const internal = trustBody({ issuer: "https://10.0.0.7" });
    problemOf(await send(farm, TRUSTS, { json: internal, token: admin }), 403, "FORBIDDEN");
    const made = await send<TrustJson>(farm, TRUSTS, {
      json: trustBody({ scopes: ["write"] }),
      token: admin,
    });
    assert.equal(made.status, 201, made.text);
    const far = await send<TrustJson>(farm, TRUSTS, { json: internal });
    assert.equal(far.status, 201, "the operator decides");
    problemOf(await send(farm, "/v1/orgs/no-such/trusts", { json: trustBody() }), 404, "NOT_FOUND");
    for (const { id } of [made.body, far.body])
      assert.equal((await send(farm, `${TRUSTS}/${id}`, { method: "DELETE" })).status, 204);
    problemOf(await send(farm, `${TRUSTS}/${made.body.id}`, { method: "DELETE" }), 404, "NOT_FOUND");
  });

  test("is added, listed and removed on the command line", async () => {
    const env = { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token };
    const name = await runCli(
      ["trust", "add", "github", "--claim", "repository=acme/bot", "--scope", "publish"],
      { env },
    );
    assert.equal(name.code, 4, name.stderr);
    assert.match(name.stderr, /names can be taken over/);
    const claims = [
      "--claim",
      "repository_id=4711",
      "--claim",
      "ref=refs/heads/main",
      "--claim",
      "ref=refs/heads/next",
    ];
    const added = await runCli(
      [
        "trust",
        "add",
        "github",
        ...claims,
        "--issuer",
        issuer.url,
        "--scope",
        "publish",
        "-p",
        "bot",
        "--json",
      ],
      { env },
    );
    assert.equal(added.code, 0, added.stderr);
    const trust = JSON.parse(added.stdout) as TrustJson;
    assert.equal(trust.audience, farm.url);
    assert.deepEqual(trust.claims["ref"], ["refs/heads/main", "refs/heads/next"]);
    const listed = await runCli(["trust", "ls"], { env });
    assert.match(
      listed.stdout,
      new RegExp(`${trust.id}.*repository_id=4711, ref=refs/heads/main\\|refs/heads/next`),
    );
    const removed = await runCli(["trust", "rm", trust.id], { env });
    assert.equal(removed.code, 0, removed.stderr);
    assert.deepEqual((await farm.json<Page<TrustJson>>(TRUSTS)).items, []);
  });
});
