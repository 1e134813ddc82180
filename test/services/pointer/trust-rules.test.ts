import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import type { CommandBody, OidcExchangeCommand } from "../../../proto/commands.ts";
import { LIMITS } from "../../../proto/limits.ts";
import type { Name } from "../../../proto/names.ts";
import {
  findToken,
  findTokenByHash,
  isIdTokenUsed,
  listAudit,
} from "../../../services/shared/state-queries.ts";
import { Machine, ORG } from "./machine.ts";

let machine: Machine;

beforeEach(() => {
  machine = new Machine();
  machine.ok({ type: "org.create" });
  machine.ok(trust("tru_1"));
});

function trust(id: string, project?: string): CommandBody {
  return {
    type: "trust.create",
    trust_id: id,
    provider: "github",
    issuer: "https://issuer.example",
    audience: "https://farm.example",
    claims: { repository_id: ["7"] },
    scopes: ["publish"],
    ...(project !== undefined && { trust_project: project as Name }),
  };
}

function exchange(n: number, more: Partial<OidcExchangeCommand> = {}): OidcExchangeCommand {
  return {
    type: "oidc.exchange",
    trust_id: "tru_1",
    jti: `jti${n}`,
    jti_expires_ms: machine.timeMs + 900_000,
    token_id: `token${n}`,
    hash: `hash${n}`,
    expires_at: new Date(machine.timeMs + 600_000).toISOString(),
    reason: "repo:acme/bot:ref:refs/heads/main",
    ...more,
  };
}

function codeOf(body: CommandBody): string | undefined {
  const result = machine.apply(body);
  return result.ok ? undefined : result.error.code;
}

test("a token that was issued for a trust has the scopes of the trust, and names it in the audit trail", () => {
  machine.ok(exchange(1, { token_project: "bot" as Name }), { actor: { kind: "trust", id: "tru_1" } });
  const token = findTokenByHash(machine.state, "hash1");
  assert.deepEqual(
    [token?.scopes, token?.project, token?.trust, token?.created_by],
    [["publish"], "bot", "tru_1", { kind: "trust", id: "tru_1" }],
  );
  const [row] = listAudit(machine.state, ORG).items;
  assert.deepEqual(
    [row?.action, row?.resource, row?.actor.kind, row?.reason, row?.ok],
    ["oidc.exchange", "token1", "trust", "repo:acme/bot:ref:refs/heads/main", true],
  );
});

test("the project of a trust cannot be left", () => {
  machine.ok(trust("tru_2", "bot"));
  machine.ok(exchange(1, { trust_id: "tru_2", token_project: "other" as Name }));
  assert.equal(findTokenByHash(machine.state, "hash1")?.project, "bot");
});

test("an id token is used once, whichever trust, org or replica it comes through", () => {
  machine.ok(exchange(1));
  assert.equal(codeOf(exchange(2, { jti: "jti1" })), "STATE_CONFLICT");
  assert.equal(findTokenByHash(machine.state, "hash2"), undefined);
  const other = "other" as Name;
  machine.ok({ type: "org.create" }, { org: other });
  machine.ok(trust("tru_1"), { org: other });
  const elsewhere = machine.apply(exchange(3, { jti: "jti1" }), { org: other });
  assert.equal(elsewhere.ok, false);
});

test("removing a trust ends its tokens and allows no more", () => {
  machine.ok(exchange(1));
  machine.ok({ type: "trust.remove", trust_id: "tru_1" });
  assert.equal(findTokenByHash(machine.state, "hash1"), undefined);
  assert.equal(codeOf(exchange(2)), "NOT_FOUND");
  assert.equal(codeOf({ type: "trust.remove", trust_id: "tru_1" }), "NOT_FOUND");
});

test("tokens and used ids leave no rows behind when their time is over", () => {
  const rows = (): number =>
    [...machine.state.rows()].filter(([key]) => /^(jti|row-expiry|token)/.test(key)).length;
  const before = rows();
  for (let i = 0; i < 20; i++) machine.ok(exchange(i));
  assert.equal(rows(), before + 20 * 5);
  machine.timeMs += 600_000;
  for (let i = 0; i < 20; i++) machine.ok({ type: "org.create" });
  assert.equal(findToken(machine.state, ORG, "token3"), undefined);
  assert.ok(isIdTokenUsed(machine.state, "jti3"), "remembered longer than its token lives");
  machine.timeMs += 300_000;
  for (let i = 0; i < 20; i++) machine.ok({ type: "org.create" });
  assert.equal(isIdTokenUsed(machine.state, "jti3"), false);
  assert.equal(rows(), before);
});

test("an org has a bounded number of trusts, each under an id of its own", () => {
  assert.equal(codeOf(trust("tru_1")), "STATE_CONFLICT");
  for (let i = 2; i <= LIMITS.trustsPerOrg; i++) machine.ok(trust(`tru_${i}`));
  assert.equal(codeOf(trust("tru_more")), "QUOTA_EXCEEDED");
  machine.ok({ type: "trust.remove", trust_id: "tru_7" });
  machine.ok(trust("tru_more"));
});
