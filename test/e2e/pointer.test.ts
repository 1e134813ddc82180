import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { CloudEvent } from "../../proto/events.ts";
import type {
  AuditJson,
  CurrentJson,
  LiveAtJson,
  Page,
  PointerChangeJson,
  ProjectJson,
  PublishJson,
  ReleaseJson,
} from "../../proto/http.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { runCli } from "../helpers/cli.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { makeToken, problemOf, projectUrl, publish, publishReady, send } from "../helpers/farm-requests.ts";

const folder = tempDir("pointer");
let farm: TestFarm;

before(async () => {
  farm = await startTestFarm({ data: join(folder, "data") });
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

function current(project: string): Promise<CurrentJson> {
  return farm.json<CurrentJson>(`${projectUrl(project)}/current`);
}

/** Publishes `count` releases v1..vN, each live in its turn. */
async function releases(project: string, count: number): Promise<void> {
  for (let i = 1; i <= count; i++) await publishReady(farm, project, appArchive({ "version.txt": `${i}` }));
}

function activate(project: string, body: object, headers: Record<string, string> = {}) {
  return send<PointerChangeJson>(farm, `${projectUrl(project)}/activations`, { json: body, headers });
}

function rollback(project: string, body: object = {}) {
  return send<PointerChangeJson>(farm, `${projectUrl(project)}/rollbacks`, { json: body });
}

describe("the pointer", () => {
  test("fifty clients with the same expected generation: exactly one wins, the rest see the present state", async () => {
    await releases("race", 3);
    const { generation } = await current("race");
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        activate("race", { version: `v${1 + (i % 2)}`, expected_generation: generation }),
      ),
    );
    const won = answers.filter(({ status }) => status === 200);
    assert.equal(won.length, 1, answers.map(({ status }) => status).join());
    for (const lost of answers.filter(({ status }) => status !== 200)) {
      const { params } = problemOf(lost, 409, "GENERATION_STALE");
      assert.equal(params["expected"], generation);
      assert.equal(params["generation"], generation + 1);
      assert.equal(params["current"], won[0]?.body.to);
    }
    const now = await current("race");
    assert.equal(now.generation, generation + 1);
    assert.equal(now.version, won[0]?.body.version);
  });

  test("fifty activations without an expectation take effect one after the other, each once", async () => {
    await releases("storm", 2);
    const { generation } = await current("storm");
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => activate("storm", { version: `v${1 + (i % 2)}` })),
    );
    const changes = answers.filter(({ body }) => body.changed).map(({ body }) => body.generation);
    changes.sort((a, b) => a - b);
    assert.deepEqual(
      changes,
      changes.map((_, i) => generation + 1 + i),
      "each generation was reached by one of them",
    );
    assert.equal((await current("storm")).generation, generation + changes.length);
    for (const { body } of answers)
      assert.equal(body.version, body.to, "an answer shows the release that it made live, whatever followed");
  });

  test("a stale If-Match is 412, a stale field 409, both with the current state", async () => {
    await releases("stale", 2);
    const header = await activate("stale", { version: "v1" }, { "if-match": '"1"' });
    const field = await activate("stale", { version: "v1", expected_generation: 1 });
    for (const problem of [
      problemOf(header, 412, "GENERATION_STALE"),
      problemOf(field, 409, "GENERATION_STALE"),
    ])
      assert.deepEqual(
        [problem.params["generation"], problem.params["current"], problem.params["expected"]],
        [2, "v2", 1],
      );
    problemOf(
      await activate("stale", { version: "v1", expected_generation: 2 }, { "if-match": '"1"' }),
      400,
      "USAGE",
    );
    problemOf(await activate("stale", { version: "v1" }, { "if-match": "two" }), 400, "USAGE");
    const unchecked = { headers: { "if-match": '"1"' }, json: {} };
    problemOf(await send(farm, `${projectUrl("stale")}/holds`, unchecked), 400, "USAGE");
    assert.equal((await activate("stale", { version: "v2" }, { "if-match": "*" })).status, 200);
    const fresh = await activate("stale", { version: "v1" }, { "if-match": '"2"' });
    assert.equal(fresh.status, 200, fresh.text);
    assert.equal(fresh.headers.get("etag"), '"3"');
  });

  test("what is live already stays as it is, with the same generation", async () => {
    await releases("idle", 1);
    const again = await activate("idle", { version: "v1" });
    assert.equal(again.status, 200, again.text);
    assert.deepEqual([again.body.changed, again.body.generation, again.body.from], [false, 1, "v1"]);
  });

  test("a keyed activation that is repeated has one effect and the same answer", async () => {
    await releases("keyed", 2);
    const headers = { "idempotency-key": "switch-1" };
    const one = await activate("keyed", { version: "v1" }, headers);
    await activate("keyed", { version: "v2" });
    const two = await activate("keyed", { version: "v1" }, headers);
    assert.deepEqual([two.status, two.body.generation, two.body.to], [200, one.body.generation, "v1"]);
    assert.equal(two.body.version, "v1", "what it made live, not what is live by now");
    assert.equal((await current("keyed")).version, "v2", "the repetition moved nothing");
  });

  test("a keyed unhold or cancel that is repeated does not undo what happened since", async () => {
    await releases("repeated", 1);
    const headers = { "idempotency-key": "once" };
    const hold = (method: "POST" | "DELETE", more = {}) =>
      send<ProjectJson>(farm, `${projectUrl("repeated")}/holds`, { method, headers: more });
    await hold("POST");
    assert.equal((await hold("DELETE", headers)).body.held, null);
    await hold("POST");
    assert.notEqual((await hold("DELETE", headers)).body.held, null, "the second hold is another one");
    assert.equal((await hold("DELETE", { "idempotency-key": "twice" })).body.held, null);

    await send(farm, "/v1/nodes/local", { method: "PUT", json: { cordoned: true } });
    const { publish_id: id } = (await publish(farm, "repeated", appArchive({ a: "cancelled" }))).body;
    const cancel = () => send<PublishJson>(farm, `/v1/publishes/${id}:cancel`, { json: {}, headers });
    assert.deepEqual([(await cancel()).body.state, (await cancel()).body.state], ["cancelled", "cancelled"]);
    await send(farm, "/v1/nodes/local", { method: "PUT", json: { cordoned: false } });
  });

  test("a rollback goes to the newest activation that was never rolled back from, and holds", async () => {
    await releases("back", 3);
    const first = await rollback("back", { reason: "errors" });
    assert.equal(first.status, 200, first.text);
    assert.deepEqual([first.body.from, first.body.to, first.body.cause], ["v3", "v2", "rollback"]);
    assert.ok(first.body.from_activated_at !== undefined && first.body.from_activated_by !== undefined);
    assert.match(String(first.body.held?.reason), /rollback from v3 to v2: errors/);
    const second = await rollback("back");
    assert.deepEqual([second.body.from, second.body.to], ["v2", "v1"], "v3 was rolled back from");
    problemOf(await rollback("back"), 409, "NO_ROLLBACK_TARGET");

    const held = await publishReady(farm, "back", appArchive({ "version.txt": "4" }));
    assert.deepEqual([held.version, held.activated, held.not_activated_reason], ["v4", false, "held"]);
    assert.equal((await current("back")).version, "v1");
    const released = await send<ProjectJson>(farm, `${projectUrl("back")}/holds`, { method: "DELETE" });
    assert.equal(released.body.held, null, released.text);
    assert.equal((await current("back")).version, "v1", "releasing a hold moves nothing");
    const live = await publishReady(farm, "back", appArchive({ "version.txt": "5" }));
    assert.equal(live.activated, true);
  });

  test("a rollback names its target; an unknown one is 404, and nothing moves", async () => {
    await releases("target", 3);
    problemOf(await rollback("target", { to: "v9" }), 404, "NOT_FOUND");
    assert.equal((await current("target")).generation, 3);
    assert.equal((await rollback("target", { to: "v1" })).body.to, "v1");
  });

  test("a hold with an end holds until then, and no longer", async () => {
    await releases("hold", 1);
    const held = await send<ProjectJson>(farm, `${projectUrl("hold")}/holds`, {
      json: { for: "2s", reason: "freeze" },
    });
    assert.equal(held.body.held?.reason, "freeze", held.text);
    const kept = await publishReady(farm, "hold", appArchive({ a: "2" }));
    assert.equal(kept.not_activated_reason, "held");
    await new Promise((resolve) => setTimeout(resolve, 2_100));
    const live = await publishReady(farm, "hold", appArchive({ a: "3" }));
    assert.equal(live.activated, true, JSON.stringify(live));
  });

  test("an org or the whole farm is held by the command line, `current` says by which, and it ends for itself", async () => {
    await releases("wide", 1);
    const granary = (...args: string[]) =>
      runCli([...args, "--url", farm.url, "--token", farm.token], { cwd: folder });
    const held = await granary("hold", "default", "--for", "8h", "--reason", "audit");
    assert.equal(held.code, 0, held.stderr);
    assert.match(held.stdout, /^org default is held until /);
    assert.equal((await granary("hold", "--all", "--reason", "move")).code, 0);
    assert.equal((await publishReady(farm, "wide", appArchive({ a: "2" }))).not_activated_reason, "held");
    assert.match(
      (await granary("current", "default/wide")).stdout,
      /held +with its org since .*: audit, until/,
    );
    assert.match((await granary("unhold", "default")).stdout, /still held with the whole farm .*: move/);
    assert.equal((await current("wide")).held?.level, "farm");
    assert.equal((await granary("unhold", "--all")).stdout, "the farm is not held any more\n");
    assert.equal((await publishReady(farm, "wide", appArchive({ a: "3" }))).activated, true);
    for (const wrong of [["hold"], ["hold", "default", "--all"]])
      assert.equal((await granary(...wrong)).code, 4);
  });

  test("only farm:admin holds the farm, and a token bound to a project does not hold its org", async () => {
    const admin = await makeToken(farm, "default", ["admin"]);
    const bound = await makeToken(farm, "default", ["admin"], { project: "wide" });
    const post = (path: string, token: string) => send(farm, path, { json: {}, token });
    problemOf(await post("/v1/holds", admin.token), 403, "FORBIDDEN");
    problemOf(await send(farm, "/v1/holds", { token: admin.token }), 403, "FORBIDDEN");
    problemOf(await post("/v1/orgs/default/holds", bound.token), 403, "FORBIDDEN");
    problemOf(await post("/v1/orgs/elsewhere/holds", admin.token), 404, "NOT_FOUND");
    problemOf(await post("/v1/orgs/elsewhere/holds", farm.token), 404, "NOT_FOUND");
  });

  test("an answer tells its position in the log, and a read waits for one, or says that it is not there", async () => {
    await releases("read", 2);
    const moved = await activate("read", { version: "v1" });
    const seq = Number(moved.headers.get("granary-seq"));
    assert.ok(seq > 0, "Granary-Seq");
    const path = `${projectUrl("read")}/current`;
    for (const query of [`min_seq=${seq}`, "consistent=true"]) {
      const answer = await send<CurrentJson>(farm, `${path}?${query}`);
      assert.deepEqual([answer.status, answer.body.version], [200, "v1"], answer.text);
      assert.ok(Number(answer.headers.get("granary-seq")) >= seq);
    }
    const { params, retryable } = problemOf(
      await send(farm, `${path}?min_seq=${seq + 1_000_000}`),
      503,
      "REPLICA_BEHIND",
    );
    assert.deepEqual([params["min_seq"], retryable], [seq + 1_000_000, true]);
    problemOf(await send(farm, `${path}?min_seq=-1`), 400, "USAGE");
    problemOf(await send(farm, `${path}?consistent=maybe`), 400, "USAGE");
    problemOf(await send(farm, `${path}?min_seq=9999999`, { token: "gr_tok_no" }), 401, "UNAUTHENTICATED");
  });

  test("what was live at a time is told until when, and what cannot be known is refused", async () => {
    await releases("past", 2);
    const at = (time: string) => send<LiveAtJson>(farm, `${projectUrl("past")}/at?time=${time}`);
    const [two] = (await send<Page<ReleaseJson>>(farm, `${projectUrl("past")}/releases`)).body.items;
    const then = new Date(Date.parse(two?.activated_at ?? "") - 1).toISOString();
    const one = await at(then);
    assert.deepEqual([one.body.version, one.body.live_until], ["v1", two?.activated_at], one.text);
    const now = await at(two?.activated_at ?? "");
    assert.deepEqual([now.body.version, now.body.generation, now.body.live_until], ["v2", 2, null]);
    problemOf(await at("2020-01-01T00:00:00Z"), 409, "NOTHING_ACTIVE");
    for (const wrong of ["", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "9999-01-01T00:00:00Z"])
      problemOf(await at(wrong), 400, "USAGE");
    const cli = await runCli(["at", "default/past", then, "--url", farm.url, "--token", farm.token]);
    assert.match(cli.stdout, /default\/past@v1[\s\S]*live until/, cli.stderr);
  });

  test("a publish with activate=false is ready, not live, and says so", async () => {
    await releases("quiet", 1);
    const answer = await publish(farm, "quiet", appArchive({ a: "2" }), {
      query: { activate: "false" },
      waitSeconds: 30,
    });
    const { release } = answer.body;
    assert.deepEqual([release?.activated, release?.not_activated_reason], [false, "not_requested"]);
    assert.equal((await current("quiet")).version, "v1");
    assert.equal((await activate("quiet", { version: 2 })).body.version, "v2");
  });

  test("a project without a live release says NOTHING_ACTIVE", async () => {
    await publish(farm, "dark", appArchive({ a: "1" }), { query: { activate: "false" }, waitSeconds: 30 });
    problemOf(await send(farm, `${projectUrl("dark")}/current`), 409, "NOTHING_ACTIVE");
    problemOf(await send(farm, `${projectUrl("dark")}/releases/current`), 409, "NOTHING_ACTIVE");
    problemOf(await rollback("dark"), 409, "NOTHING_ACTIVE");
  });

  test("`current` is answered 304 for a known generation, and a long poll as soon as it moves", async () => {
    await releases("poll", 2);
    const headers = { "if-none-match": '"2"' };
    assert.equal((await send(farm, `${projectUrl("poll")}/current`, { headers })).status, 304);
    const began = performance.now();
    const waiting = send<CurrentJson>(farm, `${projectUrl("poll")}/current?wait=20`, { headers });
    await new Promise((resolve) => setTimeout(resolve, 300));
    await activate("poll", { version: "v1" });
    const moved = await waiting;
    assert.deepEqual([moved.status, moved.body.version, moved.body.generation], [200, "v1", 3]);
    assert.ok(performance.now() - began < 5_000);
  });

  test("every act is audited with who, what and how it ended, the refused ones too", async () => {
    await releases("audited", 2);
    const { id, token } = await makeToken(farm, "default", ["write"]);
    await rollback("audited", { reason: "oops" });
    await activate("audited", { version: "v9", reason: "typo" });
    problemOf(await send(farm, `${projectUrl("audited")}/rollbacks`, { json: {}, token }), 403, "FORBIDDEN");
    const forward = await send(farm, `${projectUrl("audited")}/activations`, {
      json: { version: "v2" },
      token,
    });
    assert.equal(forward.status, 200, forward.text);
    const { items } = await farm.json<Page<AuditJson>>("/v1/orgs/default/audit?project=audited&limit=200");
    const row = (action: string): AuditJson | undefined => items.find((one) => one.action === action);
    assert.deepEqual([row("rollback")?.ok, row("rollback")?.reason], [true, "oops"]);
    const refused = items.find((one) => !one.ok);
    assert.deepEqual(
      [refused?.action, refused?.resource, refused?.code, refused?.reason],
      ["activate", "v9", "NOT_FOUND", "typo"],
    );
    assert.match(String(refused?.request_id), /^req_/);
    assert.match(String(refused?.remote), /127\.0\.0\.1/);
    assert.ok(items.some((one) => one.actor === `token:${id}` && one.action === "activate" && one.ok));
    assert.ok(!JSON.stringify(items).includes(farm.token), "a token is in the audit");
  });

  test("a token that only ships forward cannot go back by activating an older version", async () => {
    await releases("forward", 2);
    const { token } = await makeToken(farm, "default", ["write"]);
    const path = `${projectUrl("forward")}/activations`;
    problemOf(await send(farm, path, { json: { version: "v1" }, token }), 403, "FORBIDDEN");
    assert.equal((await current("forward")).version, "v2");
  });

  test("a release is found by the beginning of its commit, and an ambiguous one is refused", async () => {
    for (const [i, commit] of ["abcdef1111", "ABCDEF1222", "9876543210"].entries())
      await publishReady(farm, "commits", appArchive({ a: `${i}` }), { query: { commit } });
    const one = await farm.json<ReleaseJson>(`${projectUrl("commits")}/releases/9876543`);
    assert.equal(one.version, "v3");
    for (const spelt of ["abcdef12", "ABCdef12"]) {
      const two = await farm.json<ReleaseJson>(`${projectUrl("commits")}/releases/${spelt}`);
      assert.deepEqual([two.version, two.commit], ["v2", "abcdef1222"]);
    }
    problemOf(await send(farm, `${projectUrl("commits")}/releases/abcdef1`), 400, "USAGE");
    problemOf(await send(farm, `${projectUrl("commits")}/releases/0000000`), 404, "NOT_FOUND");
  });
});

describe("the event feed", () => {
  test("is cut and taken up again anywhere without a gap or a repeat", async () => {
    await releases("events", 3);
    await rollback("events");
    const all = await farm.json<Page<CloudEvent>>("/v1/events?project=events&limit=200");
    assert.deepEqual(
      all.items.map((event) => Number(event.sequence)),
      all.items.map((_, i) => i + 1),
    );
    for (let cut = 0; cut < all.items.length; cut++) {
      const cursor = all.items[cut]?.granarycursor;
      const rest = await farm.json<Page<CloudEvent>>(`/v1/events?project=events&limit=200&cursor=${cursor}`);
      assert.deepEqual(
        rest.items.map((event) => event.id),
        all.items.slice(cut + 1).map((event) => event.id),
      );
    }
  });

  test("as SSE brings what was before and what comes, each event once, in order", async () => {
    await releases("live", 1);
    const stop = new AbortController();
    const response = await farm.fetch("/v1/events?project=live", {
      headers: { accept: "text/event-stream" },
      signal: stop.signal,
    });
    assert.match(String(response.headers.get("content-type")), /^text\/event-stream/);
    const numbers: number[] = [];
    const reading = readNumbers(response, numbers, 12);
    await publishReady(farm, "live", appArchive({ a: "2" }));
    await activate("live", { version: "v1" });
    await reading;
    stop.abort();
    assert.deepEqual(
      numbers,
      numbers.map((_, i) => i + 1),
    );
  });

  test("a cursor that is none, and another org's feed, are refused", async () => {
    problemOf(await send(farm, "/v1/events?cursor=yesterday"), 400, "USAGE");
    const { token } = await makeToken(farm, "elsewhere", ["read"]);
    problemOf(await send(farm, "/v1/events?org=default", { token }), 404, "NOT_FOUND");
  });
});

/** Reads sequence numbers off an SSE stream until there are `count`. */
async function readNumbers(response: Response, into: number[], count: number): Promise<void> {
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk as Uint8Array).toString("utf8");
    const frames = text.split("\n\n");
    text = frames.pop() ?? "";
    for (const frame of frames) {
      const data = /^data: (.*)$/m.exec(frame)?.[1];
      if (data !== undefined) into.push(Number((JSON.parse(data) as CloudEvent).sequence));
    }
    if (into.length >= count) return;
  }
}
