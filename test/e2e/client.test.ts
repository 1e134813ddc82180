import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type CloudEvent, connect, fileLedger, type Granary } from "granary";
import type { Page, ReleaseJson } from "../../proto/http.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { eventually, natsPid, removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { makeToken, projectUrl, publishReady, send } from "../helpers/farm-requests.ts";

/** The typed client, used as its users do: against a real farm, in processes that die. */
const ROOT = resolve(import.meta.dirname, "../../..");
const folder = tempDir("client");
const project = "default/app";
let farm: TestFarm;
let granary: Granary;

/** @param port one that it had */
function start(port?: string): Promise<TestFarm> {
  return startTestFarm({ data: join(folder, "data"), ...(port !== undefined && { port }) });
}

before(async () => {
  farm = await start();
  granary = connect({ url: farm.url, token: farm.token });
  for (const name of ["one", "two"])
    await publishReady(farm, "app", appArchive({ "app.txt": name }), {
      query: { commit: `${name}fff1`.replace(/[^0-9a-f]/g, "e") },
    });
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

async function activate(version: string): Promise<void> {
  const answer = await send(farm, `${projectUrl("app")}/activations`, { json: { version } });
  assert.equal(answer.status, 200, answer.text);
}

async function allEvents(): Promise<CloudEvent[]> {
  const events: CloudEvent[] = [];
  for await (const event of granary.events({ follow: false })) events.push(event);
  return events;
}

async function take(events: AsyncIterable<CloudEvent>, count: number): Promise<CloudEvent[]> {
  const taken: CloudEvent[] = [];
  for await (const event of events) if (taken.push(event) === count) break;
  return taken;
}

describe("current and its cursor", () => {
  test("what happens after the answer comes behind its cursor, and nothing else", async () => {
    const current = await granary.current(project);
    assert.equal(current.version, "v2");
    assert.deepEqual(
      (await granary.snapshot({ project })).projects.map((row) => row.project),
      ["app"],
    );
    const none: CloudEvent[] = [];
    for await (const event of granary.events({ from: current.cursor, project, follow: false }))
      none.push(event);
    assert.deepEqual(none, []);
    await activate("v1");
    const [first] = await take(granary.events({ from: current.cursor, project }), 1);
    assert.equal(first?.type, "dev.granary.release.activated.v1");
    assert.deepEqual(
      [first?.data["from"], first?.data["to"], first?.data["generation"]],
      ["v2", "v1", current.generation + 1],
    );
  });

  test("failures are the farm's codes", async () => {
    await assert.rejects(granary.current("app"), { code: "USAGE", message: /"app" is not ORG\/PROJECT/ });
    await assert.rejects(granary.current("default/nothing"), { code: "NOT_FOUND" });
    const stranger = connect({ url: farm.url, token: "gr_nonsense" });
    await assert.rejects(stranger.current(project), { code: "UNAUTHENTICATED" });
    const away = connect({ url: "http://127.0.0.1:9", token: farm.token });
    await assert.rejects(away.current(project), { code: "UNAVAILABLE" });
  });
});

describe("events", () => {
  test("from now on: nothing of what was", async () => {
    const before = (await granary.snapshot({ project })).projects[0]?.event_n ?? 0;
    const live = granary.events({ from: "now", project });
    let first: CloudEvent | undefined;
    const next = live.next().then(({ value }) => {
      first = value ?? undefined;
    });
    // It may take a while until it has asked where now is.
    for (let i = 0; first === undefined; i++) await activate(i % 2 === 0 ? "v2" : "v1");
    await next;
    await live.return();
    assert.ok(Number(first.sequence) > before);
    await activate("v1");
    for await (const event of granary.events({ from: "now", follow: false })) assert.fail(event.id);
  });

  test("go on behind the last one when the farm is restarted under them", async () => {
    const port = new URL(farm.url).port;
    const archive = appArchive({ "app.txt": "restart" });
    await publishReady(farm, "restarted", archive, { query: { commit: "aaaaaaa" } });
    const seen: string[] = [];
    const stop = new AbortController();
    const client = connect({ url: farm.url, token: farm.token });
    const following = (async () => {
      for await (const event of client.events({ signal: stop.signal })) seen.push(event.id);
    })().catch((error: unknown) => error);
    await eventually(() => seen.length > 0 || undefined, 10_000, "the first events");
    await farm.kill();
    farm = await start(port);
    await publishReady(farm, "restarted", archive, { query: { commit: "bbbbbbb" } });
    const all = await farm.json<Page<CloudEvent>>("/v1/events?limit=200");
    await eventually(() => seen.length >= all.items.length || undefined, 20_000, "every event");
    assert.deepEqual(
      seen,
      all.items.map((event) => event.id),
    );
    stop.abort();
    await following;
  });
});

describe("subscribe", () => {
  test("a group goes on where it was, whichever process reads", async () => {
    const all = (await allEvents()).map((event) => event.id);
    const first = granary.subscribe({ group: "handover" });
    const seen = (await take(first, 3)).map((event) => event.id);
    await first.close();
    // The third was taken and the next was never asked for: nobody said that it had been handled.
    const second = granary.subscribe({ group: "handover" });
    const rest = (await take(second, all.length - 2)).map((event) => event.id);
    await second.close();
    assert.deepEqual([...seen.slice(0, 2), ...rest], all);
  });

  test("one process reads at a time; another takes over when it leaves", async () => {
    const a = granary.subscribe({ group: "turns", holder: "a" });
    const b = granary.subscribe({ group: "turns", holder: "b", from: "now" });
    const seen: string[] = [];
    const readA = a[Symbol.asyncIterator]();
    await readA.next();
    const reading = (async () => {
      for await (const event of b) seen.push(event.id);
    })();
    await sleep(300);
    assert.deepEqual(seen, []);
    await readA.next();
    await readA.return?.();
    await eventually(() => seen.length > 0 || undefined, 10_000, "b reads");
    assert.equal(seen[0], (await allEvents())[1]?.id);
    await b.close();
    await reading;
  });

  test("of two loops over one subscription, too, one stands by", async () => {
    const both = granary.subscribe({ group: "twice" });
    const [one, other] = [both[Symbol.asyncIterator](), both[Symbol.asyncIterator]()];
    assert.equal((await one.next()).value?.id, "default/app/1");
    const late = other.next();
    assert.equal(await Promise.race([late, sleep(300, "stands by")]), "stands by");
    assert.equal((await one.next()).value?.id, "default/app/2");
    await both.close();
    assert.equal((await late).done, true);
  });

  test("from now: nothing of what was, everything that comes, also while nobody is there", async () => {
    const first = granary.subscribe({ group: "late", from: "now" });
    const reading = first[Symbol.asyncIterator]();
    const next = reading.next();
    const group = `/v1/orgs/default/subscriptions/late`;
    await eventually(async () => (await send(farm, group)).status === 200 || undefined, 5_000, "the claim");
    await first.close();
    await next;
    await activate("v2");
    await activate("v1");
    const second = granary.subscribe({ group: "late", from: "beginning" });
    const seen = await take(second, 3);
    await second.close();
    assert.deepEqual(
      seen.map((event) => event.type.split(".").slice(2, 4).join(".")),
      ["release.activated", "release.superseded", "release.activated"],
    );
  });

  test("what an older reader commits is refused", async () => {
    const url = "/v1/orgs/default/subscriptions/fenced";
    const claim = async (holder: string) =>
      (await send<{ epoch: number; held: boolean }>(farm, `${url}:claim`, { json: { holder, ttl_s: 2 } }))
        .body;
    const old = await claim("old");
    assert.deepEqual([old.epoch, old.held], [1, true]);
    const place = async () => Number((await farm.fetch("/v1/whoami")).headers.get("granary-seq"));
    const before = await place();
    for (let i = 0; i < 8; i++) assert.equal((await claim("new")).held, false);
    assert.ok((await place()) - before < 8, "to stand by costs no commands");
    const taken = await eventually(
      async () => {
        const answer = await claim("new");
        return answer.held ? answer : undefined;
      },
      10_000,
      "the old claim ends",
    );
    assert.equal(taken.epoch, 2);
    const late = await send<{ code: string }>(farm, `${url}:commit`, { json: { epoch: 1, cursor: "5-0" } });
    assert.deepEqual([late.status, late.body.code], [409, "SUBSCRIPTION_LOST"]);
    const ok = await send<{ cursor: string }>(farm, `${url}:commit`, { json: { epoch: 2, cursor: "5-0" } });
    assert.equal(ok.body.cursor, "5-0");
    const ahead = await send(farm, `${url}:commit`, { json: { epoch: 2, cursor: "999999999-0" } });
    assert.equal(ahead.status, 400, "a place that nothing has reached would be skipped to for good");
    const back = await send<{ cursor: string }>(farm, `${url}:commit`, { json: { epoch: 2, cursor: "3-0" } });
    assert.equal(back.body.cursor, "5-0");
  });

  test("a token of one project sees the groups of that project only", async () => {
    await send(farm, "/v1/orgs/default/subscriptions/wide:claim", { json: { holder: "x" } });
    const { token } = await makeToken(farm, "default", ["read"], { project: "app" });
    const path = "/v1/orgs/default/subscriptions";
    assert.equal((await send(farm, `${path}/wide`, { token })).status, 404);
    assert.equal((await send(farm, `${path}/wide:claim`, { token, json: { holder: "y" } })).status, 404);
    const own = await send(farm, `${path}/narrow:claim`, { token, json: { holder: "y" } });
    assert.equal(own.status, 200, own.text);
    const list = await send<Page<{ group: string }>>(farm, path, { token });
    assert.deepEqual(
      list.body.items.map(({ group }) => group),
      ["narrow"],
    );
    assert.equal((await send(farm, `${path}/narrow`, { method: "DELETE", token })).status, 204);
  });
});

describe("the ledger", () => {
  test("every event has its effect once, in order, however often the subscriber is killed", async () => {
    const file = join(folder, "killed.json");
    const main = resolve(import.meta.dirname, "../helpers/subscriber-main.js");
    const args = [main, farm.url, farm.token, file, "killed"];
    const ledger = fileLedger<string[]>(file, []);
    for (let round = 0; round < 4; round++) {
      const child = spawn(process.execPath, args, { stdio: ["ignore", "inherit", "inherit"] });
      const before = (await ledger.read()).length;
      await activate(round % 2 === 0 ? "v2" : "v1");
      await eventually(async () => (await ledger.read()).length > before || undefined, 20_000, "an effect");
      child.kill("SIGKILL");
      await once(child, "exit");
      await activate(round % 2 === 0 ? "v1" : "v2");
    }
    const child = spawn(process.execPath, args, { stdio: ["ignore", "inherit", "inherit"] });
    const all = (await allEvents()).map((event) => event.id);
    await eventually(async () => (await ledger.read()).length >= all.length || undefined, 20_000, "the rest");
    child.kill("SIGKILL");
    await once(child, "exit");
    assert.deepEqual(await ledger.read(), all);
  });
});

describe("the examples", () => {
  const activations = async (): Promise<number> =>
    (await allEvents()).filter((event) => event.type === "dev.granary.release.activated.v1").length;
  const run = async (command: string, args: readonly string[]): Promise<string> => {
    const cwd = join(folder, "examples");
    mkdirSync(cwd, { recursive: true });
    const env = { ...process.env, GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token };
    const child = spawn(command, [...args, String(await activations())], { cwd, env });
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()));
    const timer = setTimeout(() => child.kill("SIGKILL"), 30_000);
    const [code] = (await once(child, "exit")) as [number | null];
    clearTimeout(timer);
    assert.equal(code, 0, text);
    return text;
  };
  const has = (program: string): boolean => spawnSync(program, ["--version"]).status === 0;

  test("in TypeScript", async () => {
    const text = await run(process.execPath, [
      join(ROOT, "dist/examples/subscribe/subscribe.js"),
      "live.json",
    ]);
    assert.equal(text.match(/^applied .* runs v/gm)?.length, await activations());
  });

  test("in Python", { skip: has("python3") ? false : "python3 is not installed" }, async () => {
    copyFileSync(join(ROOT, "examples/subscribe/subscribe.py"), join(folder, "subscribe.py"));
    const text = await run("python3", [join(folder, "subscribe.py"), "live.sqlite"]);
    assert.equal(text.match(/ runs v/g)?.length, await activations());
  });

  test("with curl", { skip: has("curl") ? false : "curl is not installed" }, async () => {
    const text = await run("sh", [join(ROOT, "examples/subscribe/subscribe.sh"), "cursor.txt"]);
    assert.equal(text.match(/^activated: /gm)?.length, await activations());
    assert.match(readFileSync(join(folder, "examples", "cursor.txt"), "utf8"), /^[0-9]+-[0-9]+$/);
    assert.equal((await farm.json<ReleaseJson>(`${projectUrl("app")}/current`)).state, "active");
  });

  test("with curl waits for a farm that is away, and shows a refusal", {
    skip: has("curl") ? false : "curl is not installed",
  }, async () => {
    const answers = [503, 410];
    const server = createServer((_, response) => {
      const status = answers.shift() ?? 500;
      response.writeHead(status, { "retry-after": "0" }).end(`{"code":"STATUS_${status}"}`);
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    try {
      const { port } = server.address() as AddressInfo;
      const env = { ...process.env, GRANARY_URL: `http://127.0.0.1:${port}`, GRANARY_TOKEN: "gr_x" };
      const script = join(ROOT, "examples/subscribe/subscribe.sh");
      const child = spawn("sh", [script, "none.txt"], { cwd: folder, env });
      let errors = "";
      child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
      assert.deepEqual(await once(child, "close"), [1, null]);
      assert.deepEqual(answers, []);
      assert.match(errors, /STATUS_410/);
    } finally {
      server.close();
    }
  });

  test("on the bus misses nothing while the nats-server is away, and ends with its token", async () => {
    const { id, token } = await makeToken(farm, "default", ["read"]);
    const env = { ...process.env, GRANARY_URL: farm.url, GRANARY_TOKEN: token };
    const child = spawn(process.execPath, [join(ROOT, "dist/examples/subscribe/bus.js"), "0-0"], { env });
    const exit = once(child, "exit");
    let [text, errors] = ["", ""];
    child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    const heardAll = async (): Promise<true | undefined> => {
      const ids = text.split("\n").map((line) => line.split(" ", 1)[0] ?? "");
      const all = (await allEvents()).map((event) => event.id);
      return ids.slice(0, -1).sort().join() === all.sort().join() ? true : undefined;
    };
    try {
      await eventually(heardAll, 20_000, `the events so far: ${errors}`);
      await activate("v2");
      await eventually(heardAll, 20_000, `the live event: ${errors}`);
      process.kill(natsPid(farm.data), "SIGKILL");
      await eventually(
        async () =>
          (await send(farm, `${projectUrl("app")}/activations`, { json: { version: "v1" } })).status === 200
            ? true
            : undefined,
        20_000,
        "the farm goes on",
      );
      await eventually(heardAll, 20_000, `what happened meanwhile: ${errors}`);
      assert.equal((await send(farm, `/v1/orgs/default/tokens/${id}`, { method: "DELETE" })).status, 204);
      const [code] = (await exit) as [number | null];
      assert.notEqual(code, 0);
      assert.match(errors, /UNAUTHENTICATED/);
    } finally {
      child.kill("SIGKILL");
    }
  });
});
