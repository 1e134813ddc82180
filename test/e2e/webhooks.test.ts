import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { CloudEvent } from "../../proto/events.ts";
import type { AuditJson, Page } from "../../proto/http.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { WebhookJson } from "../../proto/webhook-http.ts";
import type { WebhookDelivery } from "../../proto/webhooks.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { runCli } from "../helpers/cli.ts";
import { eventually, removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { makeToken, problemOf, projectUrl, publish, publishReady, send } from "../helpers/farm-requests.ts";
import { REPOSITORY_ROOT } from "../helpers/repository-root.ts";
import { missing } from "../helpers/run-program.ts";
import { WebhookReceiver } from "../helpers/webhook-receiver.ts";

const folder = tempDir("webhooks");
const data = join(folder, "data");
const config = join(folder, "granary.toml");
const receiver = new WebhookReceiver();
let farm: TestFarm;

const start = (): Promise<TestFarm> => startTestFarm({ data, args: ["--config", config] });

before(async () => {
  writeFileSync(config, "webhook_allow_private = true\n");
  await receiver.start();
  farm = await start();
});
after(async () => {
  await farm.stop();
  receiver.stop();
  removeDir(folder);
});

const WEBHOOKS = "/v1/orgs/default/webhooks";

async function add(body: object): Promise<WebhookJson & { secret: string }> {
  const answer = await send<WebhookJson>(farm, WEBHOOKS, { json: body });
  assert.equal(answer.status, 201, answer.text);
  assert.match(answer.body.secret ?? "", /^whsec_[A-Za-z0-9+/]{43}=$/);
  return { ...answer.body, secret: answer.body.secret ?? "" };
}

const deliveries = async (id: string): Promise<readonly WebhookDelivery[]> =>
  (await farm.json<Page<WebhookDelivery>>(`${WEBHOOKS}/${id}/deliveries`)).items;

describe("webhooks", () => {
  let webhook: WebhookJson & { secret: string };

  test("events of the chosen types arrive signed, once, in order, with their own ids", async () => {
    webhook = await add({ url: receiver.url, types: ["release.*", "project.created"] });
    receiver.secret = webhook.secret;
    await publishReady(farm, "bot", appArchive({ a: "1" }));
    await publishReady(farm, "bot", appArchive({ a: "2" }));
    await eventually(() => (receiver.types("bot").length >= 6 ? true : undefined), 20_000, "six events");
    assert.deepEqual(receiver.types("bot"), [
      "project.created",
      "release.ready",
      "release.activated",
      "release.ready",
      "release.activated",
      "release.superseded",
    ]);
    const feed = await farm.json<Page<CloudEvent>>("/v1/events?project=bot&limit=100");
    const wanted = new Map(feed.items.map((event) => [event.id, event]));
    for (const event of receiver.got) assert.deepEqual(event, wanted.get(event.id));
    const log = await eventually(
      async () => {
        const found = await deliveries(webhook.id);
        return found.length >= 6 ? found : undefined;
      },
      10_000,
      "the log of deliveries",
    );
    assert.deepEqual(
      [log.length, log[0]?.result, log[0]?.status, log[0]?.id, log[0]?.attempt],
      [6, "delivered", 204, receiver.got.at(-1)?.id, 1],
    );
  });

  test("while the endpoint fails and the farm is killed nothing is lost, and each event comes once more only", async () => {
    receiver.status = 500;
    await publishReady(farm, "bot", appArchive({ a: "3" }));
    await eventually(
      async () => ((await deliveries(webhook.id))[0]?.result === "failed" ? true : undefined),
      20_000,
      "a failure in the log",
    );
    await farm.kill();
    receiver.status = 204;
    farm = await start();
    await publishReady(farm, "bot", appArchive({ a: "4" }));
    await eventually(
      () => (receiver.types("bot").length >= 12 ? true : undefined),
      30_000,
      "all twelve events",
    );
    const n = receiver.got.map((event) => Number(event.sequence));
    assert.deepEqual(
      n,
      [...n].sort((a, b) => a - b),
      "in order, although the first of them failed",
    );
    assert.equal(new Set(receiver.attempts).size, 12);
    assert.ok(receiver.attempts.length <= 16, receiver.attempts.join(" "));
  });

  test("the signing secret is in no file of the farm, in no log line and in no later answer", async () => {
    const secret = webhook.secret.slice("whsec_".length);
    const base = (await farm.fetch(`${WEBHOOKS}/${webhook.id}`)).text();
    assert.ok(!(await base).includes(secret) && !(await base).includes("sealed"));
    assert.ok(!farm.log().includes(secret));
    const files = readdirSync(data, { recursive: true, encoding: "utf8" }).map((name) => join(data, name));
    for (const file of files.filter((name) => statSync(name).isFile()))
      assert.ok(!readFileSync(file).includes(secret), file);
    const audit = await farm.json<Page<AuditJson>>("/v1/orgs/default/audit?limit=200");
    assert.ok(audit.items.some((row) => row.action === "webhook.create" && row.resource === webhook.id));
    assert.ok(!JSON.stringify(audit).includes(receiver.url));
  });

  test("one event, or all behind a cursor, are sent again with the same ids", async () => {
    const cursor = receiver.got[2]?.granarycursor ?? "";
    const again = receiver.got[2]?.id;
    receiver.attempts.length = 0;
    const one = await send(farm, `${WEBHOOKS}/${webhook.id}:replay`, { json: { event: cursor } });
    assert.equal(one.status, 202, one.text);
    await eventually(() => (receiver.attempts.length >= 1 ? true : undefined), 10_000, "one event");
    assert.deepEqual(receiver.attempts, [again]);
    const all = await runCli(["webhook", "replay", webhook.id, "--from", "start"], {
      env: { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token },
    });
    assert.equal(all.code, 0, all.stderr);
    await eventually(() => (receiver.attempts.length >= 13 ? true : undefined), 20_000, "all events");
    assert.deepEqual(
      receiver.attempts.slice(1),
      receiver.got.map(({ id }) => id),
    );
    problemOf(
      await send(farm, `${WEBHOOKS}/${webhook.id}:replay`, { json: { event: "1-99" } }),
      404,
      "NOT_FOUND",
    );
    // To go there would be to miss all that comes before.
    const ahead = await send(farm, `${WEBHOOKS}/${webhook.id}:replay`, { json: { from: "999999999-0" } });
    problemOf(ahead, 400, "USAGE");
  });

  test("410 disables the webhook with an event and an audit row; enabled again, it goes on where it was", async () => {
    receiver.status = 410;
    await send(farm, `${projectUrl("bot")}/holds`, { json: { reason: "night" } });
    await publishReady(farm, "bot", appArchive({ a: "5" }));
    await eventually(
      async () => ((await farm.json<WebhookJson>(`${WEBHOOKS}/${webhook.id}`)).enabled ? undefined : true),
      20_000,
      "the webhook is disabled",
    );
    const feed = await farm.json<Page<CloudEvent>>("/v1/events?project=bot&limit=200");
    const disabled = feed.items.find((event) => event.type === "dev.granary.webhook.disabled.v1");
    assert.equal(disabled?.data["webhook_id"], webhook.id);
    const audit = await farm.json<Page<AuditJson>>("/v1/orgs/default/audit?limit=200");
    assert.ok(audit.items.some((row) => row.action === "webhook.disable" && row.actor === "system:hooks"));
    receiver.status = 204;
    const changed = await send<WebhookJson>(farm, `${WEBHOOKS}/${webhook.id}`, {
      method: "PATCH",
      json: { enabled: true, rotate_secret: true },
    });
    assert.equal(changed.status, 200, changed.text);
    receiver.secret = changed.body.secret ?? "";
    await eventually(() => (receiver.types("bot").length >= 13 ? true : undefined), 20_000, "what it missed");
    assert.equal(receiver.types("bot").at(-1), "release.ready");
  });

  test("the command line adds, tests, lists and removes", async () => {
    const env = { env: { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token } };
    const added = await runCli(["webhook", "add", receiver.url, "-p", "bot", "--json"], env);
    assert.equal(added.code, 0, added.stderr);
    const other = JSON.parse(added.stdout) as WebhookJson;
    receiver.secret = other.secret ?? "";
    const tested = await runCli(["webhook", "test", other.id], env);
    assert.deepEqual([tested.code, /^delivered: HTTP 204/.test(tested.stdout)], [0, true], tested.stderr);
    receiver.secret = webhook.secret;
    assert.equal((await runCli(["webhook", "test", other.id], env)).code, 1, "a wrong signature is refused");
    assert.match((await runCli(["webhook", "ls"], env)).stdout, new RegExp(other.id));
    assert.match((await runCli(["webhook", "deliveries", other.id], env)).stdout, /ping/);
    const moved = await runCli(["webhook", "set", other.id, "--to", `${receiver.url}/2`, "--json"], env);
    assert.deepEqual([moved.code, JSON.parse(moved.stdout).url], [0, `${receiver.url}/2`], moved.stderr);
    assert.equal((await runCli(["webhook", "rm", other.id], env)).code, 0);
    assert.equal((await runCli(["webhook", "deliveries", other.id], env)).code, 6);
  });

  test("the events of one publish follow it to its end, with the activation, and nothing of others", async () => {
    const types = (text: string): string[] =>
      [...text.matchAll(/^event: (.*)$/gm)].map((line) => line[1] ?? "");
    const release = await publishReady(farm, "followed", appArchive({ a: "1" }));
    await publishReady(farm, "followed", appArchive({ a: "2" }));
    const past = await send(farm, `/v1/publishes/${release.publish_id}/events`);
    const expected = ["publish.accepted", "publish.started", "release.ready", "release.activated"];
    assert.deepEqual(types(past.text), expected);
    const ready = /^id: (.*)\nevent: release.ready$/m.exec(past.text)?.[1] ?? "";
    const resumed = await send(farm, `/v1/publishes/${release.publish_id}/events`, {
      headers: { "last-event-id": ready },
    });
    assert.deepEqual(types(resumed.text), ["release.activated"]);
    for (const [accept, form] of [
      ["*/*", /^text\/event-stream/],
      ["application/json", /^application\/json/],
    ] as const) {
      const headers = { accept, "last-event-id": ready };
      const { headers: answered } = await send(farm, "/v1/events?follow=false", { headers });
      assert.match(answered.get("content-type") ?? "", form, "who sends Last-Event-ID reads frames");
    }
    const accepted = await publish(farm, "followed", appArchive({ a: "3" }));
    const live = await send(farm, `/v1/publishes/${accepted.body.publish_id}/events`);
    assert.deepEqual(types(live.text), [...expected, "release.superseded"]);
    problemOf(await send(farm, "/v1/publishes/pub_none/events"), 404, "NOT_FOUND");
  });

  test("who asks for CDEvents gets them as pages, as a stream and by webhook, under the same ids", async () => {
    const { secret, id, format } = await add({ url: receiver.url, project: "cd", format: "cdevents" });
    receiver.secret = secret;
    assert.equal(format, "cdevents");
    await publishReady(farm, "cd", appArchive({ a: "1" }));
    await publishReady(farm, "cd", appArchive({ a: "2" }));
    const feed = "/v1/events?project=cd&limit=200";
    const own = (await farm.json<Page<CloudEvent>>(feed)).items;
    const { items } = await farm.json<Page<CloudEvent>>(`${feed}&format=cdevents`);
    const told = items.flatMap(({ type }) => /^dev\.cdevents\.([a-z.]+)\./.exec(type)?.[1] ?? []);
    assert.deepEqual(told, [
      "artifact.published",
      "service.deployed",
      "artifact.published",
      "service.upgraded",
    ]);
    const ids = (events: readonly CloudEvent[]) => events.map((event) => [event.id, event.granarycursor]);
    assert.deepEqual(ids(items), ids(own));
    const stream = await send(farm, `${feed}&format=cdevents&follow=false`, {
      headers: { accept: "text/event-stream" },
    });
    const streamed = [...stream.text.matchAll(/^data: (.*)$/gm)].map((line) => JSON.parse(line[1] ?? ""));
    assert.deepEqual(streamed, items);
    const got = () => receiver.got.filter((event) => event.source.endsWith("/cd"));
    await eventually(() => (got().length >= items.length ? true : undefined), 20_000, "all events");
    assert.deepEqual(got(), items);
    const back = await send(farm, `${WEBHOOKS}/${id}`, { method: "PATCH", json: { format: "granary" } });
    assert.equal((back.body as WebhookJson).format, "granary");
    problemOf(await send(farm, `${feed}&format=xml`), 400, "USAGE");
    assert.equal((await send(farm, `${WEBHOOKS}/${id}`, { method: "DELETE" })).status, 204);
  });

  test("asked for again under its key is the same webhook with the same secret; so is its new secret", async () => {
    const json = { url: `${receiver.url}/keyed`, types: ["release.*"] };
    const headers = { "idempotency-key": "add-1" };
    const made = () => send<WebhookJson>(farm, WEBHOOKS, { json, headers });
    const [one, two] = [await made(), await made()];
    assert.deepEqual([one.status, two.status], [201, 201], two.text);
    assert.deepEqual(two.body, one.body);
    const { items } = await farm.json<Page<WebhookJson>>(WEBHOOKS);
    assert.equal(items.filter(({ url }) => url === json.url).length, 1);
    const rotate = () =>
      send<WebhookJson>(farm, `${WEBHOOKS}/${one.body.id}`, {
        method: "PATCH",
        json: { rotate_secret: true },
        headers: { "idempotency-key": "rotate-1" },
      });
    const [first, again] = [await rotate(), await rotate()];
    assert.notEqual(first.body.secret, one.body.secret);
    assert.equal(again.body.secret, first.body.secret, "the one that deliveries are signed with");
    assert.equal((await send(farm, `${WEBHOOKS}/${one.body.id}`, { method: "DELETE" })).status, 204);
    problemOf(await made(), 409, "STATE_CONFLICT");
  });

  test("one more than an org may have is refused with what to do, and not when it is the last one asked for again", async () => {
    const { token } = await makeToken(farm, "many", ["admin"]);
    const add = (_: unknown, i: number) =>
      send<WebhookJson>(farm, "/v1/orgs/many/webhooks", {
        token,
        json: { url: `${receiver.url}/${i}`, types: ["webhook.*"] },
        headers: { "idempotency-key": `add-${i}` },
      });
    const made = await Promise.all(Array.from({ length: LIMITS.webhooksPerOrg }, add));
    assert.deepEqual(new Set(made.map(({ status }) => status)), new Set([201]));
    const more = await add(undefined, 50);
    problemOf(more, 403, "QUOTA_EXCEEDED");
    assert.match(more.text, /granary webhook rm/);
    assert.equal((await add(undefined, 7)).body.secret, made[7]?.body.secret);
  });

  test("the receiver in Python takes what is signed, and nothing else", {
    skip: missing("python3"),
  }, async () => {
    const holder = createServer().listen(0, "127.0.0.1");
    await once(holder, "listening");
    const { port } = holder.address() as AddressInfo;
    holder.close();
    const url = `http://127.0.0.1:${port}/hook`;
    const { id, secret } = await add({ url, types: ["release.activated"] });
    const child = spawn("python3", [join(REPOSITORY_ROOT, "examples/subscribe/webhook.py"), String(port)], {
      env: { ...process.env, WEBHOOK_SECRET: secret },
    });
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()));
    try {
      const forged = { "webhook-id": "x", "webhook-timestamp": `${Math.floor(Date.now() / 1000)}` };
      const post = (): Promise<Response> =>
        fetch(url, { method: "POST", headers: { ...forged, "webhook-signature": "v1,AAAA" }, body: "{}" });
      const refused = await eventually(() => post().catch(() => undefined), 20_000, `its start: ${text}`);
      assert.equal(refused.status, 401);
      await publishReady(farm, "python", appArchive({ a: "1" }));
      await eventually(() => (text.includes("/projects/python runs v1") ? true : undefined), 20_000, text);
    } finally {
      child.kill("SIGKILL");
      await send(farm, `${WEBHOOKS}/${id}`, { method: "DELETE" });
    }
  });

  test("URLs, fields and tokens that may not are refused, with a code", async () => {
    problemOf(
      await send(farm, WEBHOOKS, { json: { url: "https://u:p@example.com" } }),
      422,
      "WEBHOOK_URL_REFUSED",
    );
    assert.equal((await send(farm, WEBHOOKS, { json: { url: receiver.url, types: ["x"] } })).status, 400);
    assert.equal((await send(farm, WEBHOOKS, { json: { url: receiver.url, secret: "mine" } })).status, 400);
    const reader = await makeToken(farm, "default", ["write"]);
    problemOf(await send(farm, WEBHOOKS, { token: reader.token }), 403, "FORBIDDEN");
    const foreign = await makeToken(farm, "other", ["admin"]);
    const missing = await send(farm, `${WEBHOOKS}/whk_none`, { token: foreign.token });
    const hidden = await send(farm, `${WEBHOOKS}/${webhook.id}`, { token: foreign.token });
    assert.deepEqual([missing.status, hidden.status], [404, 404]);
  });
});
