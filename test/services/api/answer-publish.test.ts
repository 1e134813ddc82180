import assert from "node:assert/strict";
import { test } from "node:test";
import type { PublishJson } from "../../../proto/http.ts";
import { answerPublish } from "../../../services/api/accept-publish.ts";
import type { ApiContext } from "../../../services/api/context.ts";
import type { HttpReply, HttpRequest } from "../../../services/shared/http-server.ts";
import { Machine } from "../pointer/machine.ts";

const machine = new Machine();
const publishId = machine.begin("one");
machine.finish(publishId, "one");

async function answer(about: { isNew: boolean; waitMs: number }): Promise<[number, boolean | undefined]> {
  const context = {
    read: (body: (state: Machine["state"]) => unknown) => body(machine.state),
    now: () => machine.timeMs,
    publicName: () => "farm:7421",
    url: () => "http://farm:7421",
  } as unknown as ApiContext;
  let [status, sent]: [number, PublishJson | undefined] = [0, undefined];
  const reply = {
    code: (code: number) => {
      status = code;
      return reply;
    },
    header: () => reply,
    send: (body: PublishJson) => {
      sent = body;
      return reply;
    },
  } as unknown as HttpReply;
  await answerPublish(context, {} as HttpRequest, reply, { publishId, ...about });
  return [status, (sent as PublishJson | undefined)?.existing];
}

test("a publish that is ready before its command was answered is new to the request that began it", async () => {
  assert.deepEqual(await answer({ isNew: true, waitMs: 0 }), [202, undefined]);
  assert.deepEqual(await answer({ isNew: true, waitMs: 1_000 }), [201, undefined]);
});

test("a publish that was ready before is existing to a request that found it", async () => {
  assert.deepEqual(await answer({ isNew: false, waitMs: 0 }), [200, true]);
  assert.deepEqual(await answer({ isNew: false, waitMs: 1_000 }), [200, true]);
});
