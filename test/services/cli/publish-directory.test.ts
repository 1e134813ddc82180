import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fakePublish, fakeRelease, sendJson, uploadRoutes } from "./fake-farm.ts";
import { app, BOT, GET, incompressible, LIVE, PUT, publish, treeOf } from "./publish-harness.ts";

const IMAGE_REF = fakeRelease().image_ref;

test("a connection that breaks while content is sent is taken up where the farm has it", async (t) => {
  const directory = app();
  const bytes = incompressible(5_000_000);
  writeFileSync(path.join(directory, "large"), bytes);
  const release = fakeRelease({ tree: await treeOf(directory) });
  const offsets: (string | null)[] = [];
  const { result, farm } = await publish(t, {
    directory,
    release,
    routes: {
      [PUT]: ({ response, raw, query, body }) => {
        offsets.push(query.get("offset"));
        if (offsets.length === 1) raw.socket.destroy();
        else
          sendJson(response, 200, {
            session: "upl_1",
            offset: Number(query.get("offset")) + body.byteLength,
          });
      },
      [`GET ${BOT}/uploads/upl_1`]: ({ response }) =>
        sendJson(response, 200, { session: "upl_1", offset: 3_000_000 }),
    },
  });
  assert.equal(result.code, 0, result.stderr);
  assert.deepEqual(offsets, ["0", "3000000"]);
  const sent = farm.seen.filter((request) => request.method === "PUT").at(-1);
  const content = Buffer.concat([Buffer.from("app = 1\n"), Buffer.from('entry_point = "app:app"\n'), bytes]);
  assert.ok(content.subarray(3_000_000).equals(sent?.body ?? Buffer.alloc(0)));
});

test("a file that changes while it is sent is read once more, then an error names it", async (t) => {
  const directory = app();
  let plans = 0;
  const { result } = await publish(t, {
    directory,
    routes: {
      [`POST ${BOT}/publishes:plan`]: (request) => {
        plans += 1;
        writeFileSync(path.join(directory, "app.py"), `app = ${plans + 1}\n`);
        return uploadRoutes(BOT)[`POST ${BOT}/publishes:plan`]?.(request);
      },
    },
  });
  assert.equal(plans, 2);
  assert.equal(result.code, 7);
  assert.match(result.stderr, /reading the directory once more/);
  assert.match(result.stderr, /error STATE_CONFLICT: "app\.py" changed/);
});

test("content that the farm lost since it was planned is planned again, under the same key", async (t) => {
  const directory = app();
  const release = fakeRelease({ tree: await treeOf(directory) });
  const error = { code: "CONTENT_GONE", detail: "gone", hint: "", status: 409, params: { path: "app.py" } };
  let asked = 0;
  const { result, farm } = await publish(t, {
    directory,
    routes: {
      [GET]: ({ response }) => {
        asked += 1;
        const ended = asked === 1 ? { state: "failed", error } : { state: "ready", release };
        sendJson(response, 200, fakePublish(ended));
      },
    },
  });
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.stderr, /planning again/);
  const commits = farm.seen.filter((request) => request.path.endsWith(":commit"));
  assert.equal(commits.length, 2);
  assert.equal(commits[0]?.headers["idempotency-key"], commits[1]?.headers["idempotency-key"]);
});

test("--if-changed publishes nothing when what is live has the same tree", async (t) => {
  const directory = app();
  const current = { ...LIVE, tree: await treeOf(directory) };
  const { result, farm } = await publish(t, {
    directory,
    args: ["--if-changed"],
    routes: uploadRoutes(BOT, {
      current,
      missing: [],
      missing_bytes: 0,
      missing_blobs: 0,
      session: undefined,
    }),
  });
  assert.equal(result.code, 0, result.stderr);
  assert.equal(result.stdout, `acme/bot@v41 ${IMAGE_REF}\n`);
  assert.match(result.stderr, /unchanged: v41 is live with the same image; nothing was published/);
  assert.ok(!farm.seen.some((request) => request.path.endsWith(":commit")));
});
