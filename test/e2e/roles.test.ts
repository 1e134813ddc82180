import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { connect } from "@nats-io/transport-node";
import type { CloudEvent } from "../../proto/events.ts";
import type { CurrentJson, Page, Problem } from "../../proto/http.ts";
import type { BusJson } from "../../proto/subscription-http.ts";
import { natsCredentials } from "../../services/shared/nats-keys.ts";
import { type NatsServer, startNatsServer } from "../../services/shared/nats-server.ts";
import { secretBox } from "../../services/shared/webhook-secrets.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { CLI_MAIN, runCliProcess } from "../helpers/cli.ts";
import { eventually, removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import {
  ended,
  makeToken,
  problemOf,
  projectUrl,
  publish,
  publishReady,
  send,
} from "../helpers/farm-requests.ts";

/** The roles of one farm in several processes, each with a data folder of its own, against a nats-server that none of them runs. */
const folder = tempDir("roles");
const config = join(folder, "granary.toml");
let nats: NatsServer;
let pointer: TestFarm;
let content: TestFarm;

before(async () => {
  nats = await startNatsServer({
    dataDir: join(folder, "nats"),
    log: { info: () => undefined, warn: () => undefined },
  });
  // The keys are what an operator hands to each machine.
  natsCredentials(join(folder, "nats"), "api");
  secretBox(join(folder, "nats"));
  writeFileSync(config, "webhook_allow_private = true\n");
  for (const part of ["pointer", "content"]) {
    mkdirSync(join(folder, part), { recursive: true });
    cpSync(join(folder, "nats", "nats", "keys"), join(folder, part, "nats", "keys"), { recursive: true });
  }
  // Neither waits for the other: whoever comes first waits for the log.
  [pointer, content] = await Promise.all([startPointer(), startContent()]);
});
after(async () => {
  await content.stop();
  await pointer.stop();
  await nats.close();
  removeDir(folder);
});

function startHooks(name: string): Promise<TestFarm> {
  cpSync(join(folder, "nats", "nats", "keys"), join(folder, name, "nats", "keys"), { recursive: true });
  const args = ["--nats", nats.url, "--config", config];
  return startTestFarm({ data: join(folder, name), roles: ["hooks"], args });
}

function startPointer(): Promise<TestFarm> {
  return startTestFarm({ data: join(folder, "pointer"), roles: ["pointer"], args: ["--nats", nats.url] });
}

function startContent(): Promise<TestFarm> {
  const roles = ["api", "node", "registry"];
  const args = ["--nats", nats.url, "--config", config];
  return startTestFarm({ data: join(folder, "content"), roles, args });
}

describe("roles in processes of their own", () => {
  test("webhooks are delivered by one of two processes, and by the other when that one goes", async () => {
    const got: string[] = [];
    const receiver = createServer((request, response) => {
      got.push(String(request.headers["webhook-id"]));
      request.resume().on("end", () => response.writeHead(204).end());
    });
    await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
    const one = await startHooks("hooks-one");
    const two = await startHooks("hooks-two");
    try {
      const added = await send(content, "/v1/orgs/default/webhooks", {
        json: { url, types: ["release.ready"] },
      });
      assert.equal(added.status, 201, added.text);
      await publishReady(content, "hooked", appArchive({ a: "1" }));
      await eventually(() => (got.length > 0 ? true : undefined), 20_000, "the first delivery");
      await one.stop();
      await publishReady(content, "hooked", appArchive({ a: "2" }));
      await eventually(() => (got.length > 1 ? true : undefined), 30_000, "the second delivery");
      assert.equal(new Set(got).size, 2, got.join(" "));
      assert.equal(got.length, 2, "neither twice");
    } finally {
      await one.stop();
      await two.stop();
      receiver.closeAllConnections();
      receiver.close();
    }
  });

  test("publish, go live, roll back and pull as one farm does", async () => {
    assert.deepEqual(
      [pointer.url, pointer.token],
      ["", ""],
      "a pointer answers no requests and has no token",
    );
    assert.ok(!existsSync(join(folder, "pointer", "admin.token")));
    const one = await publishReady(content, "split", appArchive({ a: "1" }));
    const two = await publishReady(content, "split", appArchive({ a: "2" }));
    assert.deepEqual([one.version, two.version, two.activated], ["v1", "v2", true]);
    const back = await send<CurrentJson>(content, `${projectUrl("split")}/rollbacks`, { json: {} });
    assert.equal(back.body.version, "v1", back.text);
    const manifest = await content.fetch(`/v2/default/split/manifests/${two.image_digest}`);
    assert.equal(manifest.status, 200);
    const events = await content.json<Page<CloudEvent>>("/v1/events?project=split&limit=100");
    assert.deepEqual(
      events.items.map((event) => Number(event.sequence)),
      events.items.map((_, i) => i + 1),
    );
  });

  test("a subscriber on the operator's nats-server hears its org, and is let in by the api", async () => {
    const { token } = await makeToken(content, "default", ["read"]);
    const { url, subject } = await content.json<BusJson>("/v1/orgs/default/bus", { token });
    assert.equal(url, nats.url);
    const bus = await connect({ servers: url, user: "anybody", pass: token, reconnect: false });
    const heard: string[] = [];
    bus.subscribe(subject, { callback: (_, message) => void heard.push(message.subject) });
    await bus.flush();
    await publishReady(content, "heard", appArchive({ a: "1" }));
    const activated = "granary.events.default.heard.release.activated";
    await eventually(() => heard.includes(activated) || undefined, 20_000, "the activation is heard");
    await bus.close();
  });

  test("without the pointer publishes are accepted and wait; its next start brings them to their end", async () => {
    await pointer.kill();
    const answers = await Promise.all(
      Array.from({ length: 5 }, (_, i) => publish(content, "waiting", appArchive({ a: `${i}` }))),
    );
    const accepted = answers
      .filter((answer) => answer.status === 202)
      .map((answer) => answer.body.publish_id);
    for (const { status, text } of answers) assert.ok([202, 503].includes(status), text);
    pointer = await startPointer();
    for (const id of accepted) assert.equal((await ended(content, id)).state, "ready");
    const release = await publishReady(content, "waiting", appArchive({ a: "last" }));
    assert.equal(release.activated, true);
  });

  test("an api that cannot confirm the log for two seconds serves nothing more: a token may be revoked", async () => {
    process.kill(nats.pid, "SIGSTOP");
    try {
      await eventually(
        async () => ((await send(content, "/v1/whoami")).status === 503 ? true : undefined),
        6_000,
        "requests are refused",
      );
      const pull = await send(content, "/v2/default/split/manifests/v1");
      problemOf(pull, 503, "UNAVAILABLE");
      assert.match(pull.headers.get("retry-after") ?? "", /^[0-9]+$/);
      assert.equal((await content.fetch("/")).status, 503, "the console shows an org's things, too");
      assert.equal((await content.fetch("/livez")).status, 200);
    } finally {
      process.kill(nats.pid, "SIGCONT");
    }
    await eventually(
      async () => ((await send(content, "/v1/whoami")).status === 200 ? true : undefined),
      20_000,
      "requests are served again",
    );
  });

  test("a nats-server that restarts is found again by all of them", async () => {
    process.kill(nats.pid, "SIGKILL");
    await eventually(
      async () => {
        const answer = await publish(content, "after", appArchive({ a: "after" }), { waitSeconds: 20 });
        return answer.status === 201 || answer.status === 200 ? true : undefined;
      },
      30_000,
      "publishes go on",
    );
  });

  test("content roles that are torn apart are refused with what to run instead", async () => {
    const result = await runCliProcess([
      "serve",
      "api",
      "--nats",
      nats.url,
      "--data",
      join(folder, "api"),
      "--json",
    ]);
    assert.notEqual(result.code, 0);
    const problem = JSON.parse(result.stdout) as Problem;
    assert.equal(problem.code, "CAPABILITY_MISSING");
    assert.match(problem.detail, /granary serve api node registry/);
  });

  test("one that waits for a log which nobody makes ends when it is told to", async () => {
    const bare = await startNatsServer({ dataDir: join(folder, "bare"), log: { info() {}, warn() {} } });
    natsCredentials(join(folder, "bare"), "api");
    const data = join(folder, "early");
    cpSync(join(folder, "bare", "nats", "keys"), join(data, "nats", "keys"), { recursive: true });
    const args = [CLI_MAIN, "serve", "hooks", "--nats", bare.url, "--data", data, "--json"];
    const child = spawn(process.execPath, args, { stdio: "ignore" });
    try {
      await eventually(() => existsSync(join(data, "state", "state.mdb")) || undefined, 30_000, "its state");
      const over = once(child, "exit");
      child.kill("SIGTERM");
      assert.deepEqual(await over, [0, null]);
    } finally {
      child.kill("SIGKILL");
      await bare.close();
    }
  });

  test("each ends on SIGTERM with 0", async () => {
    assert.equal(await content.stop(), 0);
    assert.equal(await pointer.stop(), 0);
  });
});
