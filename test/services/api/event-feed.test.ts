import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { formatToken, tokenHash } from "../../../proto/token.ts";
import type { ApiContext } from "../../../services/api/context.ts";
import { feedOf, streamEvents } from "../../../services/api/event-routes.ts";
import type { HttpReply, HttpRequest } from "../../../services/shared/http-server.ts";
import type { Applied } from "../../../services/shared/replica.ts";
import { waitUntil } from "../../helpers/wait-until.ts";
import { acceptOf, Machine, ORG } from "../pointer/machine.ts";

const TOKEN = formatToken("tok", "t1234567890", "a".repeat(32));

class FakeAnswer extends EventEmitter {
  readonly writableNeedDrain = false;
  text = "";
  writeHead(): void {}
  flushHeaders(): void {}
  write(text: string): boolean {
    this.text += text;
    return true;
  }
  end(): void {}
  destroy(): void {}
}

test("a feed of an org looks at the state after groups that wrote events of it, not after every one", async () => {
  const machine = new Machine();
  machine.ok(acceptOf("app", { publish_id: "pub_1" }));
  machine.ok({ type: "token.create", token_id: "t1234567890", hash: tokenHash(TOKEN), scopes: ["read"] });
  let looks = 0;
  let tell: (applied: Pick<Applied, "orgs">) => void = () => undefined;
  const context = {
    read: (body: (view: unknown) => unknown) => {
      looks += 1;
      return body(machine.state);
    },
    now: () => 0,
    assertConfirmed: () => undefined,
    closing: new AbortController().signal,
    log: { info: () => undefined },
    replica: {
      onApplied: (listener: typeof tell) => {
        tell = listener;
        return () => undefined;
      },
    },
  } as unknown as ApiContext;
  const request = {
    headers: { authorization: `Bearer ${TOKEN}` },
    query: {},
    id: "r",
  } as unknown as HttpRequest;
  const raw = new FakeAnswer();
  const reply = { hijack: () => ({ raw }) } as unknown as HttpReply;
  const ended = streamEvents(context, request, reply, feedOf(context, request, "0-0"));
  await waitUntil("it has sent what there is", 5_000, () => raw.text.includes("publish.accepted"));
  await turn();

  const before = looks;
  for (let group = 0; group < 100; group++) {
    tell({ orgs: group % 2 === 0 ? [] : ["other" as typeof ORG] });
    await turn();
  }
  // Its token is checked twice a second, whatever happens.
  assert.ok(looks - before < 20, `${looks - before} looks`);

  machine.ok({ type: "cancel", publish_id: "pub_1" });
  tell({ orgs: [ORG] });
  await waitUntil("it goes on", 5_000, () => raw.text.includes("publish.cancelled"));
  raw.emit("close");
  await ended;
});
