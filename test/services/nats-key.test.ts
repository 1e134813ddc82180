import assert from "node:assert/strict";
import { test } from "node:test";
import { createAccount, createUser, fromPublic, fromSeed } from "@nats-io/nkeys";
import { NatsKey } from "../../services/shared/nats-key.ts";

test("a key of NATS has the public key and makes the signatures that NATS's own library expects", () => {
  for (const create of [createUser, createAccount, createUser]) {
    const seed = create().getSeed();
    const key = new NatsKey(seed);
    assert.equal(key.publicKey, fromSeed(seed).getPublicKey());
    const signature = Buffer.from(key.sign("a nonce"), "base64url");
    assert.equal(fromPublic(key.publicKey).verify(Buffer.from("a nonce"), signature), true);
    assert.equal(fromPublic(key.publicKey).verify(Buffer.from("another"), signature), false);
  }
});

test("a key's seed may end in a line break", () => {
  const seed = createUser().getSeed();
  assert.equal(new NatsKey(Buffer.concat([seed, Buffer.from("\n")])).publicKey, new NatsKey(seed).publicKey);
});
