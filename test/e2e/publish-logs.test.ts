import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { PublishJson } from "../../proto/http.ts";
import type { LogLineJson, PublishLogJson } from "../../proto/http-log.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { startByteProxy } from "../helpers/byte-proxy.ts";
import { type CliResult, runCli } from "../helpers/cli.ts";
import { eventually, removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { ended, problemOf, publish, publishReady, send } from "../helpers/farm-requests.ts";
import { noise } from "../helpers/hostile-sizes.ts";

const folder = tempDir("publish-logs");
const data = join(folder, "data");
let farm: TestFarm;

before(async () => {
  farm = await startTestFarm({ data, args: ["--threads", "2"] });
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

function cli(args: readonly string[]): Promise<CliResult> {
  return runCli(args, { env: { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token } });
}

function logOf(id: string, query = ""): Promise<PublishLogJson> {
  return farm.json<PublishLogJson>(`/v1/publishes/${id}/logs${query}`);
}

function textOf(items: readonly LogLineJson[]): string {
  return items.map(({ level, text }) => `${level}: ${text}`).join("\n");
}

function setCordoned(cordoned: boolean): Promise<unknown> {
  return send(farm, "/v1/nodes/local", { method: "PUT", json: { cordoned } });
}

describe("the log of a publish", { concurrency: 1 }, () => {
  let ready = "";
  let failed = "";
  let stopped = "";

  test("says what was sent, read, stored and built, and what came of it", async () => {
    const release = await publishReady(farm, "logged", appArchive({ "app.py": "1", "b.txt": "2" }));
    ready = release.publish_id;
    const { items, next_cursor, state } = await logOf(ready);
    const log = textOf(items);
    assert.match(
      log,
      /info: accepted from token:\S+ for production: an archive, [0-9,]+ bytes sent, sha256:/,
    );
    assert.match(log, /info: attempt 1 on node local/);
    assert.match(log, /info: the archive is read: 2 entries/);
    assert.match(log, /info: content: 2 new \(2 bytes\), 0 reused/);
    assert.ok(log.includes(`info: image ${release.image_digest}`), log);
    assert.match(log, /info: ready: it is v1$/);
    assert.deepEqual([next_cursor, state], [null, "ready"]);
  });

  test("of a publish that failed names code, reason and hint, and warnings are marked", async () => {
    const wrong = appArchive({ "karta.toml": "[karta\n" });
    failed = (await publish(farm, "logged", wrong, { query: { commit: "00000bad" } })).body.publish_id;
    assert.equal((await ended(farm, failed)).state, "failed");
    const log = textOf((await logOf(failed)).items);
    assert.match(log, /info: the archive is read: 1 entries\nerror: MANIFEST_INVALID: karta.toml:1:7/);
    assert.match(log, /error: failed: MANIFEST_INVALID: .*; \S+/);
    const shown = await cli(["logs", failed]);
    assert.equal(shown.code, 0, shown.stderr);
    assert.match(shown.stdout, /Z {2}error: failed: MANIFEST_INVALID/);
  });

  test("of one that is cancelled while it runs tells what was done until then", async () => {
    const large = appArchive({ "large.bin": slowToRead() });
    stopped = (await publish(farm, "stopped", large, { query: { commit: "000000c" } })).body.publish_id;
    const begun = async (): Promise<true | undefined> =>
      textOf((await logOf(stopped)).items).includes("reading the archive") ? true : undefined;
    await eventually(begun, 20_000, "the archive is being read");
    const cancelled = await cli(["cancel", stopped, "--reason", "wrong branch"]);
    assert.equal(cancelled.code, 0, cancelled.stderr);
    assert.match(
      textOf((await logOf(stopped)).items),
      /accepted from.*attempt 1 on node local.*reading the archive, [0-9,]+ bytes.*cancelled: CANCELLED: .*wrong branch/s,
    );
  });

  test("is the same after a restart, when the process that wrote it is gone", async () => {
    const ids = [ready, failed, stopped];
    const before = await Promise.all(ids.map((id) => logOf(id)));
    assert.equal(await farm.stop(), 0);
    farm = await startTestFarm({ data, args: ["--threads", "2"] });
    assert.deepEqual(await Promise.all(ids.map((id) => logOf(id))), before);
  });

  test("is read page by page, and taken up behind any of its lines", async () => {
    const { items } = await logOf(ready);
    const paged: LogLineJson[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const page: PublishLogJson = await logOf(ready, `?limit=2${cursor === "" ? "" : `&cursor=${cursor}`}`);
      paged.push(...page.items);
      cursor = page.next_cursor;
    }
    assert.deepEqual(paged, items);
    const from = await cli(["logs", "logged@v1", "-f", "--json", "--from", items[3]?.cursor ?? ""]);
    assert.deepEqual(
      from.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as LogLineJson),
      items.slice(4),
    );
    problemOf(await send(farm, `/v1/publishes/${ready}/logs?cursor=x`), 400, "USAGE");
    problemOf(await send(farm, "/v1/publishes/pub_none/logs"), 404, "NOT_FOUND");
  });

  test("is followed from the queue to the end, by CLI and HTTP, each line once", async () => {
    await setCordoned(true);
    const id = (await publish(farm, "followed", appArchive({ a: "1" }))).body.publish_id;
    const waiting = await cli(["logs", id]);
    assert.match(waiting.stdout, /^\S+ \S+ {2}accepted from[^\n]*\n$/);
    assert.match(waiting.stderr, /the publish is queued; follow it: granary logs pub_\S+ -f/);
    const following = cli(["logs", id, "-f", "--json"]);
    const feed = await farm.fetch(`/v1/publishes/${id}/logs`, { headers: { accept: "text/event-stream" } });
    await setCordoned(false);
    const [followed, stream] = [await following, await feed.text()];
    const { items } = await logOf(id);
    assert.equal(followed.code, 0, followed.stderr);
    assert.deepEqual(
      followed.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as LogLineJson),
      items,
    );
    const frames = stream.split("\n\n").filter((frame) => frame.includes("event: line"));
    assert.deepEqual(
      frames.map((frame) => /^id: (\S+)$/m.exec(frame)?.[1]),
      items.map(({ cursor }) => cursor),
    );
    assert.match(stream, /event: end\ndata: \{"state":"ready"\}\n\n$/);
  });

  test("that a crash cut off says so, and goes on with the next attempt; who follows it hears each line once", async (t) => {
    const proxy = await startByteProxy(farm.url);
    t.after(() => proxy.close());
    const large = appArchive({ "large.bin": slowToRead() });
    await setCordoned(true);
    const ids = await Promise.all(
      Array.from({ length: 2 }, async (_, i) => {
        const query = { commit: `000000${i}` };
        return (await publish(farm, "crashed", large, { query: { ...query, force_new: "1" } })).body
          .publish_id;
      }),
    );
    const reading = async (): Promise<true | undefined> => {
      const logs = await Promise.all(ids.map(async (id) => textOf((await logOf(id)).items)));
      return logs.some((log) => log.includes("reading the archive")) ? true : undefined;
    };
    const env = { GRANARY_URL: proxy.url, GRANARY_TOKEN: farm.token };
    const following = ids.map((id) => runCli(["logs", id, "-f", "--json"], { env }));
    const areFollowed = (): boolean => proxy.answered.split("accepted from").length > ids.length;
    await eventually(async () => areFollowed() || undefined, 20_000, "both logs are followed");
    await setCordoned(false);
    await eventually(reading, 20_000, "an archive is being read");
    const breaking = setInterval(() => proxy.breakNow(), 300).unref();
    await farm.kill();
    farm = await startTestFarm({ data, args: ["--threads", "2"] });
    proxy.target(farm.url);
    const ends = await Promise.all(ids.map((id) => ended(farm, id)));
    assert.deepEqual(
      ends.map(({ state }) => state),
      ["ready", "ready"],
    );
    const again = ends.filter(({ attempt }) => attempt > 1);
    assert.ok(again.length > 0, "a test in which nothing was cut off shows nothing");
    for (const { publish_id, attempt } of again) {
      const log = textOf((await logOf(publish_id)).items);
      assert.ok(log.includes(`warn: the log of attempt ${attempt - 1} was cut off`), log);
      assert.match(log, new RegExp(`attempt ${attempt} on node local[^]*ready: it is v`));
    }
    clearInterval(breaking);
    for (const [n, { code, stdout, stderr }] of (await Promise.all(following)).entries()) {
      assert.equal(code, 0, stderr);
      assert.match(stderr, /; reconnecting/);
      const heard = stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as LogLineJson);
      const cursors = heard.map(({ cursor }) => cursor);
      assert.equal(new Set(cursors).size, cursors.length, "no line twice");
      const { items } = await logOf(ids[n] ?? "");
      // It may have heard more: what the attempt had said that the crash cut off.
      assert.deepEqual(
        heard.filter(({ cursor }) => items.some((item) => item.cursor === cursor)),
        items,
      );
    }
  });

  test("of a cancelled publish ends with who wanted what", async () => {
    await setCordoned(true);
    const id = (await publish(farm, "dropped", appArchive({ a: "1" }))).body.publish_id;
    await send<PublishJson>(farm, `/v1/publishes/${id}:cancel`, { json: { reason: "wrong branch" } });
    await setCordoned(false);
    assert.match(textOf((await logOf(id)).items), /error: cancelled: CANCELLED: .*wrong branch/);
  });
});

/** 100 MB that take a thread some tenths of a second. */
function slowToRead(): string {
  return Array.from(
    { length: 1600 },
    (_, i) => `${noise(400).toString("hex")}${" ".repeat(65_000)}${i}`,
  ).join("");
}
