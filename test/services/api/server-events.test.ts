import assert from "node:assert/strict";
import { EventEmitter, setMaxListeners } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { test } from "node:test";
import { GranaryError } from "../../../proto/errors.ts";
import { LIMITS } from "../../../proto/limits.ts";
import { formatToken } from "../../../proto/token.ts";
import type { ApiContext } from "../../../services/api/context.ts";
import { sendServerEvents } from "../../../services/api/server-events.ts";
import type { HttpReply, HttpRequest } from "../../../services/shared/http-server.ts";
import { waitUntil } from "../../helpers/wait-until.ts";

const RECORD = { id: "t1234567890", org: "acme", scopes: ["read"] };
const TOKEN = formatToken("tok", RECORD.id, "a".repeat(32));

test("a feed that is over ends its answer; one that is cut off breaks it, by the farm's end, the token's or a log that does not answer", async () => {
  assert.equal(await readFeed({ feeds: 2, end: "feed" }), "data: 0\n\ndata: 1\n\n");
  await assert.rejects(readFeed({ feeds: 2, end: "farm" }), TypeError);
  await assert.rejects(readFeed({ feeds: 2, end: "token" }), TypeError);
  await assert.rejects(readFeed({ feeds: 2, end: "log" }), TypeError);
});

test("a reader that leaves while much is on its way to it leaves nothing behind: no timer, no listener", async () => {
  const frames = Array.from({ length: 64 }, () => `data: ${"x".repeat(1_000_000)}\n\n`);
  const context = {
    read: () => RECORD,
    now: () => 0,
    assertConfirmed: () => undefined,
    closing: new AbortController().signal,
    log: { info: () => undefined },
  } as unknown as ApiContext;
  let over = false;
  let listeners = 0;
  const server = createServer((request, raw) => {
    const asked = Object.assign(request, { id: "req_1" }) as unknown as HttpRequest;
    void sendServerEvents(context, asked, { hijack: () => ({ raw }) } as unknown as HttpReply, {
      subscribe: () => {
        listeners += 1;
        return () => {
          listeners -= 1;
        };
      },
      next: () => ({ frames, next: "wait" }),
    }).then(() => {
      over = true;
    });
    // What the sockets of both sides hold is far less than this feed has: it waits until there is room.
    setImmediate(() => reader.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const reader = connect((server.address() as AddressInfo).port, "127.0.0.1");
  reader.on("error", () => undefined).pause();
  reader.write(`GET / HTTP/1.1\r\nhost: farm\r\nauthorization: Bearer ${TOKEN}\r\n\r\n`);
  try {
    await waitUntil("the feed has ended", 10_000, () => over);
    assert.equal(listeners, 0);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

/** What a reader gets of a feed of so many frames that ends in one of three ways. */
async function readFeed({
  feeds,
  end,
}: {
  feeds: number;
  end: "feed" | "farm" | "token" | "log";
}): Promise<string> {
  const closing = new AbortController();
  let sent = 0;
  const context = {
    read: () => (end === "token" && sent === feeds ? undefined : RECORD),
    now: () => 0,
    assertConfirmed: () => {
      if (end === "log" && sent === feeds) throw new GranaryError("UNAVAILABLE", "the log is away");
    },
    closing: closing.signal,
    log: { info: () => undefined },
  } as unknown as ApiContext;
  const server = createServer((request, raw) => {
    const asked = Object.assign(request, { id: "req_1" }) as unknown as HttpRequest;
    const reply = { hijack: () => ({ raw }) } as unknown as HttpReply;
    void sendServerEvents(context, asked, reply, {
      subscribe: () => () => undefined,
      next: () => {
        if (sent < feeds) return { frames: [`data: ${sent++}\n\n`], next: "more" };
        if (end === "farm") closing.abort();
        return { frames: [], next: end === "feed" ? "end" : "wait" };
      },
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const headers = { authorization: `Bearer ${TOKEN}` };
    return await (await fetch(url, { headers })).text();
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test("an org that has every stream open that it may is told so, and leaves room for others", async () => {
  const closing = new AbortController();
  const open = (org: string): Promise<void> => {
    const context = {
      read: () => ({ ...RECORD, org }),
      now: () => 0,
      assertConfirmed: () => undefined,
      closing: closing.signal,
      log: { info: () => undefined },
    } as unknown as ApiContext;
    const raw = Object.assign(new EventEmitter(), {
      writeHead: () => undefined,
      flushHeaders: () => undefined,
      destroy: () => undefined,
    });
    const request = { id: "req_1", headers: { authorization: `Bearer ${TOKEN}` } } as unknown as HttpRequest;
    const next = () => ({ frames: [], next: "wait" }) as const;
    return sendServerEvents(context, request, { hijack: () => ({ raw }) } as unknown as HttpReply, {
      subscribe: () => () => undefined,
      next,
    });
  };
  setMaxListeners(0, closing.signal);
  const share = LIMITS.eventFeeds * LIMITS.orgShare;
  const opened = Array.from({ length: share }, () => open("acme"));
  await assert.rejects(open("acme"), { code: "RATE_LIMITED", detail: { limit: share, retry_after_s: 5 } });
  opened.push(open("other"));
  closing.abort();
  await Promise.all(opened);
  // Those that ended gave their place back.
  await open("acme");
});

test("a reader of what is quiet is told how far it is, so that its cursor does not grow old", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const closing = new AbortController();
  const context = {
    read: () => RECORD,
    now: () => 0,
    assertConfirmed: () => undefined,
    closing: closing.signal,
    log: { info: () => undefined },
  } as unknown as ApiContext;
  const written: string[] = [];
  const raw = Object.assign(new EventEmitter(), {
    writeHead: () => undefined,
    flushHeaders: () => undefined,
    write: (text: string) => written.push(text),
    destroy: () => undefined,
  });
  const request = { id: "req_1", headers: { authorization: `Bearer ${TOKEN}` } } as unknown as HttpRequest;
  const feed = sendServerEvents(context, request, { hijack: () => ({ raw }) } as unknown as HttpReply, {
    subscribe: () => () => undefined,
    next: () => ({ frames: [], next: "wait" }),
    place: () => "7-999999",
  });
  // A place is told only while there is nothing more to send.
  t.mock.timers.tick(15_000);
  await new Promise(setImmediate);
  t.mock.timers.tick(15_000);
  closing.abort();
  await feed;
  assert.deepEqual(written, [": keep-alive\n\n", "id: 7-999999\n\n"]);
});

test("events that are looked through and not sent do not hold up the others", async () => {
  let looks = 0;
  let turn = 0;
  const turns = setInterval(() => (turn += 1), 1);
  const context = {
    read: () => RECORD,
    now: () => 0,
    assertConfirmed: () => undefined,
    closing: new AbortController().signal,
  } as unknown as ApiContext;
  const raw = Object.assign(new EventEmitter(), {
    writeHead: () => undefined,
    flushHeaders: () => undefined,
    end: () => undefined,
  });
  const request = { id: "req_1", headers: { authorization: `Bearer ${TOKEN}` } } as unknown as HttpRequest;
  await sendServerEvents(context, request, { hijack: () => ({ raw }) } as unknown as HttpReply, {
    subscribe: () => () => undefined,
    next: () => ({ frames: [], next: looks++ === 2_000 ? "end" : "more" }),
  });
  clearInterval(turns);
  assert.ok(turn > 0);
});

test("a reader that takes nothing more is cut off", async () => {
  let nowMs = 0;
  const context = {
    read: () => RECORD,
    now: () => (nowMs += LIMITS.answerIdleMs / 3),
    assertConfirmed: () => undefined,
    closing: new AbortController().signal,
    log: { info: () => undefined },
  } as unknown as ApiContext;
  const raw = Object.assign(new EventEmitter(), {
    writeHead: () => undefined,
    flushHeaders: () => undefined,
    write: () => false,
    writableNeedDrain: true,
    destroy: () => raw.emit("close"),
  });
  const request = { id: "req_1", headers: { authorization: `Bearer ${TOKEN}` } } as unknown as HttpRequest;
  await sendServerEvents(context, request, { hijack: () => ({ raw }) } as unknown as HttpReply, {
    subscribe: () => () => undefined,
    next: () => ({ frames: ["data: 1\n\n"], next: "more" }),
  });
  assert.ok(nowMs > LIMITS.answerIdleMs);
});
