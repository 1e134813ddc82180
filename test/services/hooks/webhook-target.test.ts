import assert from "node:assert/strict";
import { test } from "node:test";
import { GranaryError } from "../../../proto/errors.ts";
import {
  isPublic,
  parseWebhookUrl,
  publicAddresses,
  type Resolve,
  type TargetAddress,
} from "../../../services/shared/webhook-target.ts";

const HIDDEN = [
  "0.0.0.0",
  "10.0.0.1",
  "100.64.0.1",
  "100.127.255.255",
  "127.0.0.1",
  "127.255.255.254",
  "169.254.169.254",
  "172.16.0.1",
  "172.31.255.255",
  "192.0.0.8",
  "192.0.2.1",
  "192.88.99.1",
  "192.168.1.1",
  "198.18.0.1",
  "198.51.100.7",
  "203.0.113.9",
  "224.0.0.1",
  "240.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::7f00:1",
  "::ffff:127.0.0.1",
  "::ffff:8.8.8.8",
  "::ffff:a9fe:a9fe",
  "64:ff9b::7f00:1",
  "64:ff9b:1::a00:1",
  "100::1",
  "2001::1",
  "2001:db8::1",
  "2002:7f00:1::",
  "2002:a9fe:a9fe::1",
  "3fff::1",
  "fc00::1",
  "fd00:ec2::254",
  "fe80::1",
  "fec0::1",
  "ff02::1",
  "not an address",
];
const PUBLIC = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"];

for (const address of HIDDEN) test(`${address} is not called`, () => assert.equal(isPublic(address), false));
for (const address of PUBLIC) test(`${address} may be called`, () => assert.ok(isPublic(address)));

const STRICT = { allowPrivate: false };
const none: Resolve = () => Promise.reject(new Error("must not be asked"));

function refusal(error: unknown): boolean {
  return error instanceof GranaryError && error.code === "WEBHOOK_URL_REFUSED";
}

for (const url of [
  "http://example.com/",
  "ftp://example.com/",
  "https://user@example.com/",
  "https://user:secret@example.com/",
  "https://example.com/#part",
  "https://example.com:25/",
  "https://example.com:22/",
  "example.com",
  `https://example.com/${"x".repeat(3_000)}`,
])
  test(`the URL ${url.slice(0, 40)} is refused, and the message does not repeat it`, () => {
    assert.throws(
      () => parseWebhookUrl(url, STRICT),
      (error) => refusal(error) && !(error as Error).message.includes("example"),
    );
  });

/** Spellings of inner addresses that a URL parser makes plain. */
for (const url of [
  "https://127.0.0.1/",
  "https://2130706433/",
  "https://0x7f000001/",
  "https://017700000001/",
  "https://127.1/",
  "https://[::1]/",
  "https://[::ffff:127.0.0.1]/",
  "https://[64:ff9b::7f00:1]/",
  "https://169.254.169.254/latest/meta-data",
])
  test(`${url} is refused without asking anyone`, async () => {
    await assert.rejects(
      publicAddresses(parseWebhookUrl(url, STRICT), { ...STRICT, resolve: none }),
      refusal,
    );
  });

const answers =
  (...addresses: readonly string[]): Resolve =>
  () =>
    Promise.resolve(
      addresses.map((address): TargetAddress => ({ address, family: address.includes(":") ? 6 : 4 })),
    );
const url = parseWebhookUrl("https://hooks.example.com:8443/x?token=1", STRICT);

test("a host is refused when one of its addresses is inside, wherever it stands", async () => {
  for (const resolve of [answers("10.1.1.1"), answers("1.1.1.1", "127.0.0.1"), answers("2a00::1", "::1")])
    await assert.rejects(publicAddresses(url, { ...STRICT, resolve }), refusal);
});

test("a host that does not resolve is refused", async () => {
  await assert.rejects(publicAddresses(url, { ...STRICT, resolve: none }), refusal);
  await assert.rejects(publicAddresses(url, { ...STRICT, resolve: answers() }), refusal);
});

test("a public host answers the addresses that may be connected to", async () => {
  const found = await publicAddresses(url, { ...STRICT, resolve: answers("1.1.1.1", "2606:4700::1111") });
  assert.deepEqual(
    found.map(({ address }) => address),
    ["1.1.1.1", "2606:4700::1111"],
  );
});

test("with webhook_allow_private http and loopback are allowed, credentials are not", async () => {
  const open = { allowPrivate: true };
  const local = parseWebhookUrl("http://127.0.0.1:80/", open);
  assert.equal((await publicAddresses(local, { ...open, resolve: none }))[0]?.address, "127.0.0.1");
  assert.throws(() => parseWebhookUrl("http://a:b@127.0.0.1/", open), refusal);
});
