import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { test } from "node:test";
import { LIMITS } from "../../../proto/limits.ts";
import type { Name } from "../../../proto/names.ts";
import type { ApiContext } from "../../../services/api/context.ts";
import { UploadPlanner } from "../../../services/api/plan-upload.ts";
import type { Scoped } from "../../../services/api/request.ts";
import type { UploadSessions } from "../../../services/api/upload-sessions.ts";

const FIRST_BYTES = 64 * 1024;

test("listings of which nothing comes are counted by the memory that waits for them, and leave room for other orgs", async () => {
  let release: () => void = () => undefined;
  const released = new Promise<IteratorResult<Buffer>>((resolve) => {
    release = () => resolve({ done: true, value: undefined });
  });
  const silent = {
    complete: false,
    iterator: () => ({ next: () => released, return: () => released }),
  } as unknown as IncomingMessage;
  const planner = new UploadPlanner({} as ApiContext, {} as UploadSessions);
  const plan = (org: string): Promise<unknown> =>
    planner.plan(silent, { org: org as Name, project: "app" as Name } as Scoped, {
      dryRun: false,
      ifChanged: false,
    });
  const most = (LIMITS.listingsHeldBytes * LIMITS.orgShare) / FIRST_BYTES;
  const waiting = Array.from({ length: most }, () => plan("greedy"));
  await assert.rejects(plan("greedy"), { code: "RATE_LIMITED" });
  const all = Promise.allSettled([...waiting, plan("other")]);
  release();
  for (const end of await all) assert.equal(end.status === "rejected" && end.reason.code, "USAGE");
  await assert.rejects(plan("greedy"), { code: "USAGE" }, "what ended is given back");
});
