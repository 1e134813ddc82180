import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { signWebhook } from "../../../services/hooks/sign-webhook.ts";
import { newWebhookSecret, secretBox } from "../../../services/shared/webhook-secrets.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";

const OF = { org: "acme", id: "whk_1" };

test("a sealed secret opens with the farm's key, for the same webhook only, unchanged only", () => {
  const folder = tempFolder();
  const secret = newWebhookSecret();
  const sealed = secretBox(folder).seal(secret, OF);
  assert.ok(!Buffer.from(sealed, "base64").includes(secret.slice(6, 20)));
  assert.equal(secretBox(folder).open(sealed, OF), secret);
  assert.throws(() => secretBox(folder).open(sealed, { ...OF, id: "whk_2" }));
  assert.throws(() => secretBox(folder).open(sealed, { ...OF, org: "other" }));
  assert.throws(() => secretBox(tempFolder()).open(sealed, OF));
  const bent = Buffer.from(sealed, "base64");
  bent[20] = (bent[20] ?? 0) ^ 1;
  assert.throws(() => secretBox(folder).open(bent.toString("base64"), OF));
  const keys = path.join(folder, "nats", "keys");
  assert.deepEqual(readdirSync(keys), ["webhooks.key"]);
  assert.equal(statSync(path.join(keys, "webhooks.key")).mode & 0o777, 0o600);
});

test("what is derived is the same for the same request, and another for every other request and key", () => {
  const folder = tempFolder();
  const derived = (of: string, at = folder) => {
    const bytes = secretBox(at).derive(of);
    return Buffer.concat([bytes(6), bytes(40), bytes(1)]).toString("hex");
  };
  assert.equal(derived("cmd_1"), derived("cmd_1"));
  assert.equal(new Set([derived("cmd_1"), derived("cmd_2"), derived("cmd_1", tempFolder())]).size, 3);
  const random = secretBox(folder).derive("cmd_1");
  assert.notEqual(newWebhookSecret(random), newWebhookSecret(random), "it goes on");
});

test("signatures are those of the Standard Webhooks specification's example", () => {
  const headers = signWebhook({
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    timestampMs: 1_614_265_330_000,
    body: '{"test": 2432232314}',
    secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
  });
  assert.deepEqual(headers, {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  });
});
