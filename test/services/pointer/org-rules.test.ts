import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import type { CommandBody } from "../../../proto/commands.ts";
import type { Name } from "../../../proto/names.ts";
import {
  findOrg,
  findSubscription,
  findTokenByHash,
  listAudit,
  listTrusts,
} from "../../../services/shared/state-queries.ts";
import { acceptOf, Machine, ORG } from "./machine.ts";

let machine: Machine;

beforeEach(() => {
  machine = new Machine();
});

function codeOf(body: CommandBody, actorId = "operator"): string | undefined {
  const result = machine.apply(body, { actor: { kind: "token", id: actorId } });
  return result.ok ? undefined : result.error.code;
}

function token(n: number): CommandBody {
  return { type: "token.create", token_id: `token${n}`, hash: `hash${n}`, scopes: ["admin"] };
}

test("an org has as many publishes waiting as it may, until its limit is taken back", () => {
  machine.ok({ type: "org.create" });
  machine.ok({ type: "org.set", settings: { max_queued: 1 } });
  assert.equal(codeOf(acceptOf("a", { publish_id: "pub_a" })), undefined);
  assert.equal(codeOf(acceptOf("b", { publish_id: "pub_b" })), "RATE_LIMITED");
  machine.ok({ type: "org.set", settings: { max_queued: null } });
  assert.equal(codeOf(acceptOf("b", { publish_id: "pub_b" })), undefined);
  assert.equal(codeOf({ type: "org.set", settings: {} }), undefined);
  assert.equal(findOrg(machine.state, ORG)?.settings?.max_queued, null);
});

test("an empty org ends with its tokens and trusts, which do not come back with its name", () => {
  machine.ok({ type: "org.create" });
  for (let n = 0; n < 3; n++) machine.ok(token(n));
  machine.ok({
    type: "trust.create",
    trust_id: "tru_1",
    provider: "generic",
    issuer: "https://issuer.example",
    audience: "farm",
    claims: { sub: ["job"] },
    scopes: ["read"],
  });
  const claim = { holder: "h", ttl_ms: 1_000, from: "0-0", limit: 9 };
  machine.ok({ type: "subscription.claim", group: "readers" as Name, ...claim });
  assert.equal(codeOf({ type: "org.remove" }, "token1"), "STATE_CONFLICT");
  assert.equal(codeOf({ type: "org.remove" }), undefined);
  assert.equal(findOrg(machine.state, ORG), undefined);
  assert.equal(codeOf({ type: "org.remove" }), "NOT_FOUND");
  assert.equal(codeOf({ type: "subscription.claim", group: "late" as Name, ...claim }), "NOT_FOUND");
  assert.equal(codeOf({ type: "org.set", settings: {} }), "NOT_FOUND");
  machine.ok({ type: "org.create" });
  for (let n = 0; n < 3; n++) assert.equal(findTokenByHash(machine.state, `hash${n}`), undefined);
  assert.deepEqual(listTrusts(machine.state, ORG).items, []);
  assert.equal(findSubscription(machine.state, ORG, "readers" as Name), undefined);
  assert.ok(listAudit(machine.state, ORG).items.some((row) => row.action === "org.remove" && row.ok));
});

test("an org with a project stays", () => {
  machine.publish("a");
  assert.equal(codeOf({ type: "org.remove" }), "STATE_CONFLICT");
});
