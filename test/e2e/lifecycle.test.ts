import assert from "node:assert/strict";
import { existsSync, mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { Problem, PublishJson } from "../../proto/http.ts";
import { findNatsBinary } from "../../services/shared/nats-binary.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { runCliProcess } from "../helpers/cli.ts";
import {
  eventually,
  isAlive,
  natsPid,
  removeDir,
  startTestFarm,
  type TestFarm,
  tempDir,
} from "../helpers/farm.ts";
import {
  ended,
  problemOf,
  projectUrl,
  publish,
  publishReady,
  send,
  untilCut,
} from "../helpers/farm-requests.ts";
import { rawConnection } from "../helpers/raw-http.ts";

/** After this long nothing of a killed farm may run. */
const ORPHAN_MS = 10_000;
/** A farm with work in flight finishes or hands it back within this time. */
const SHUTDOWN_MS = 20_000;

const folder = tempDir("lifecycle");
after(() => removeDir(folder));

/** Each of them has farms and data folders of its own. */
describe("the life of a farm", { concurrency: 3 }, () => {
  describe("a data folder", { concurrency: 1 }, () => {
    const data = join(folder, "owned");
    let farm: TestFarm;

    test("is used by one farm: a second one ends with DATA_IN_USE and the pid", async () => {
      farm = await startTestFarm({ data });
      await publishReady(farm, "kept", appArchive({ a: "1" }));
      const began = performance.now();
      const second = await runCliProcess(["up", "--data", data, "--port", "0", "--json"]);
      assert.equal(second.code, 3, second.stderr);
      const problem = JSON.parse(second.stdout) as Problem;
      assert.deepEqual([problem.code, problem.params["pid"]], ["DATA_IN_USE", farm.pid]);
      assert.ok(performance.now() - began < SHUTDOWN_MS, "it waits for nothing");
      assert.equal((await farm.fetch("/readyz")).status, 200, "the first one is unharmed");
    });

    test("a farm that is killed takes its nats-server with it", async () => {
      const nats = natsPid(data);
      assert.ok(isAlive(nats));
      await farm.kill();
      await eventually(() => (isAlive(nats) ? undefined : true), ORPHAN_MS, "the nats-server is gone");
    });

    test("is taken over from a farm that was killed, with everything in it; a home that cannot be written to keeps no farm from starting", async () => {
      const config = join(folder, "no-home");
      writeFileSync(config, "a file where a folder should be");
      farm = await startTestFarm({ data, env: { XDG_CONFIG_HOME: config } });
      const { version } = await farm.json<{ version: string }>(`${projectUrl("kept")}/current`);
      assert.equal(version, "v1");
      assert.match(farm.log(), /context `local` could not be saved/);
    });

    test("is taken over at once, while the killed farm's nats-server may still run", async () => {
      await farm.kill();
      farm = await startTestFarm({ data });
      await publishReady(farm, "kept", appArchive({ a: "2" }));
      assert.equal(await farm.stop(), 0);
      assert.ok(!isAlive(farm.pid));
    });
  });

  describe("the admin token", { concurrency: 1 }, () => {
    const data = join(folder, "token");
    let farm: TestFarm;

    test("lies in the data folder with mode 0600, and is in no log, however much is logged", async () => {
      farm = await startTestFarm({ data, env: { GRANARY_LOG: "trace" } });
      await publishReady(farm, "logged", appArchive({ a: "1" }));
      await farm.fetch(`/v1/whoami?token=${farm.token}`);
      problemOf(await send(farm, "/v1/whoami", { token: `${farm.token}x` }), 401, "UNAUTHENTICATED");
      assert.equal(statSync(join(data, "admin.token")).mode & 0o777, 0o600);
      assert.equal(statSync(data).mode & 0o077, 0, "the data folder is private");
    });

    test("that was revoked is replaced at the next start: nobody locks themselves out for good", async () => {
      const { token_id: id } = await farm.json<{ token_id: string }>("/v1/whoami");
      await send(farm, `/v1/orgs/default/tokens/${id}`, { method: "DELETE" });
      problemOf(await send(farm, "/v1/whoami"), 401, "UNAUTHENTICATED");
      assert.equal(await farm.stop(), 0);
      const secret = farm.token.split("_")[3] ?? "";
      assert.ok(secret.length >= 32 && !farm.log().includes(secret), "the log has the token");
      const next = await startTestFarm({ data });
      assert.notEqual(next.token, farm.token);
      assert.equal((await send(next, "/v1/whoami")).status, 200);
      problemOf(await send(next, "/v1/whoami", { token: farm.token }), 401, "UNAUTHENTICATED");
      assert.equal(await next.stop(), 0);
    });
  });

  describe("nats-server", () => {
    test("while it is slow publishes wait; while it is away the farm says so and takes none; then all goes on", async () => {
      const binary = join(folder, "nats-server");
      const { path } = await findNatsBinary(process.env);
      symlinkSync(path, binary);
      const data = join(folder, "nats");
      const farm = await startTestFarm({ data, env: { NATS_SERVER_BIN: binary } });
      await publishReady(farm, "steady", appArchive({ a: "1" }));
      // As a disk that does not come to the end of a sync: longer than the 2 s in which the log's head is confirmed.
      process.kill(natsPid(data), "SIGSTOP");
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      assert.equal((await farm.fetch("/readyz")).status, 200, "a farm that is held up is not away");
      const heldUp = publish(farm, "slow", appArchive({ a: "1" }), { waitSeconds: 20 });
      await new Promise((resolve) => setTimeout(resolve, 500));
      process.kill(natsPid(data), "SIGCONT");
      assert.equal((await heldUp).status, 201, (await heldUp).text);
      // Without its program it cannot be started again: it stays away until the test brings it back.
      rmSync(binary);
      process.kill(natsPid(data), "SIGKILL");
      await eventually(
        async () => ((await farm.fetch("/readyz")).status === 503 ? true : undefined),
        5_000,
        "/readyz says 503",
      );
      assert.equal((await farm.fetch("/livez")).status, 200);
      const ready = await send<{ problems: string[] }>(farm, "/readyz");
      assert.match(ready.body.problems.join(), /nats-server/);
      const refused = await publish(farm, "steady", appArchive({ a: "2" }));
      assert.equal(problemOf(refused, 503, "UNAVAILABLE").retryable, true);
      assert.match(refused.headers.get("retry-after") ?? "", /^[0-9]+$/);
      const pull = await farm.fetch("/v2/default/steady/manifests/v1");
      assert.equal(pull.status, 200, "what is published can be pulled");

      symlinkSync(path, binary);
      await eventually(
        async () => ((await farm.fetch("/readyz")).status === 200 ? true : undefined),
        30_000,
        "the farm is ready again",
      );
      const release = await publishReady(farm, "steady", appArchive({ a: "2" }));
      assert.deepEqual([release.version, release.activated], ["v2", true]);
      assert.equal(await farm.stop(), 0);
    });
  });

  describe("SIGTERM", () => {
    test("with publishes in flight: the farm ends in time with 0, and what was accepted is not lost", async (t) => {
      const data = join(folder, "term");
      let farm = await startTestFarm({ data });
      const accepted: string[] = [];
      const publishing = Array.from({ length: 60 }, async (_, i) => {
        const archive = appArchive({ own: `${i}`.repeat(20_000), common: "x" });
        const answer = await publish(farm, `app-${i % 6}`, archive).catch(() => undefined);
        if (answer?.status === 202) accepted.push(answer.body.publish_id);
        else if (answer !== undefined) assert.equal(answer.status, 503, answer.text);
      });
      await eventually(() => (accepted.length > 10 ? true : undefined), 20_000, "some are accepted");
      const began = performance.now();
      assert.equal(await farm.stop(), 0);
      const ms = Math.round(performance.now() - began);
      assert.ok(ms < SHUTDOWN_MS, `${ms} ms`);
      await Promise.all(publishing);
      farm = await startTestFarm({ data });
      let later = 0;
      for (const id of accepted) {
        const before = await farm.json<PublishJson>(`/v1/publishes/${id}`);
        if (before.state !== "ready") later += 1;
        assert.equal((await ended(farm, id)).state, "ready");
      }
      t.diagnostic(
        `${accepted.length} of 60 were accepted; ended in ${ms} ms; ${later} were finished by the next farm`,
      );
      assert.equal(await farm.stop(), 0);
    });

    test("is not held up by event feeds, long polls or idle connections", async () => {
      const farm = await startTestFarm({ data: join(folder, "clients") });
      await publishReady(farm, "watched", appArchive({ a: "1" }));
      const feed = untilCut(await farm.fetch("/v1/events", { headers: { accept: "text/event-stream" } }));
      const poll = farm.fetch(`${projectUrl("watched")}/current?wait=60`, {
        headers: { "if-none-match": '"1"' },
      });
      await rawConnection(farm.url);
      await new Promise((resolve) => setTimeout(resolve, 300));
      const began = performance.now();
      const code = await farm.stop();
      const ms = performance.now() - began;
      assert.equal(code, 0);
      assert.ok(ms < 5_000, `${Math.round(ms)} ms`);
      assert.equal((await poll).status, 304);
      assert.match(await feed, /release\.activated/);
      assert.ok(!existsSync(join(farm.data, "nats", "nats-server.pid")));
    });
  });

  test("data of a farm that was never started is refused with what is wrong, not with a crash", async () => {
    const file = join(folder, "a-file");
    writeFileSync(file, "");
    const onFile = await runCliProcess(["up", "--data", join(file, "data"), "--port", "0", "--json"]);
    assert.notEqual(onFile.code, 0);
    assert.ok((JSON.parse(onFile.stdout) as Problem).code.length > 0, onFile.stdout);
    const config = join(folder, "bad.toml");
    writeFileSync(config, "treads = 3\n");
    const typo = await runCliProcess(["up", "--data", join(folder, "x"), "--config", config, "--json"]);
    assert.equal((JSON.parse(typo.stdout) as Problem).code, "CONFIG_INVALID");
    assert.match(typo.stderr + typo.stdout, /treads/);
  });

  describe("a port", { concurrency: 1 }, () => {
    let farm: TestFarm;

    test("that another farm listens on is refused with what the system said", async () => {
      mkdirSync(join(folder, "port"));
      farm = await startTestFarm({ data: join(folder, "port", "one") });
      const { path } = await findNatsBinary(process.env);
      const taken = await runCliProcess(
        ["up", "--data", join(folder, "port", "two"), "--port", new URL(farm.url).port, "--json"],
        { env: { NATS_SERVER_BIN: path } },
      );
      assert.equal(taken.code, 10, taken.stderr);
      const { code, params } = JSON.parse(taken.stdout) as Problem;
      assert.deepEqual([code, params["reason"]], ["ADDRESS_REFUSED", "EADDRINUSE"]);
    });

    test("is given back in time after SIGTERM, though an upload to it stalls", async () => {
      const socket = await rawConnection(farm.url);
      socket.write(
        `POST ${projectUrl("stalled")}/publishes HTTP/1.1\r\nHost: farm\r\nAuthorization: Bearer ${farm.token}\r\nContent-Length: 100\r\n\r\n\x1f\x8b`,
      );
      await new Promise((resolve) => setTimeout(resolve, 300));
      const start = performance.now();
      assert.equal(await farm.stop(), 0);
      assert.ok(performance.now() - start < SHUTDOWN_MS);
      socket.destroy();
    });
  });
});
