import assert from "node:assert/strict";
import { test } from "node:test";
import { GranaryError } from "../../../proto/errors.ts";
import { LIMITS } from "../../../proto/limits.ts";
import type { Name } from "../../../proto/names.ts";
import { admitCommand } from "../../../services/api/admit-command.ts";
import type { ApiContext } from "../../../services/api/context.ts";
import { submitFor } from "../../../services/api/request.ts";
import type { Principal } from "../../../services/shared/authenticate.ts";
import type { HttpRequest } from "../../../services/shared/http-server.ts";

const BUSY = "busy" as Name;
const OTHER = "other" as Name;

const isRefused = (error: unknown): boolean => error instanceof GranaryError && error.code === "RATE_LIMITED";

test("commands under way are bounded, an org that has its share leaves the next one room, and what ends makes room", async () => {
  const ends: (() => void)[] = [];
  let run = 0;
  const append = () => {
    run += 1;
    return new Promise<void>((resolve) => ends.push(resolve));
  };
  const share = LIMITS.commandsAtOnce * LIMITS.orgShare;
  const waiting = Array.from({ length: share }, () => admitCommand(BUSY, append));
  await assert.rejects(admitCommand(BUSY, append), isRefused);
  assert.equal(run, share, "what is refused was not begun");
  waiting.push(admitCommand(OTHER, append));
  for (const end of ends) end();
  await Promise.all(waiting);
  await assert.rejects(
    admitCommand(BUSY, () => Promise.reject(new Error("fails"))),
    /fails/,
  );
  assert.equal(await admitCommand(BUSY, async () => "again"), "again");
});

test("what a request appends is admitted so; the acceptance of an upload, which was bounded before, always is", async () => {
  const ends: (() => void)[] = [];
  const context = {
    submit: () =>
      new Promise((resolve) =>
        ends.push(() => resolve({ ok: true, seq: 1, value: { type: "done", changed: true } })),
      ),
  } as unknown as ApiContext;
  const request = { headers: {}, id: "req_1", ip: "192.0.2.1", url: "/" } as unknown as HttpRequest;
  const principal = { actor: { kind: "token", id: "tok_1" } } as unknown as Principal;
  const submit = (type: "unhold" | "accept") =>
    submitFor(context, request, { principal, org: BUSY, body: { type } as never });
  const share = LIMITS.commandsAtOnce * LIMITS.orgShare;
  const waiting = Array.from({ length: share }, () => submit("unhold"));
  await assert.rejects(submit("unhold"), isRefused);
  waiting.push(submit("accept"));
  assert.equal(ends.length, share + 1);
  for (const end of ends) end();
  await Promise.all(waiting);
});
