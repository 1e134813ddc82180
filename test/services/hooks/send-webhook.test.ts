import assert from "node:assert/strict";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { type Attempt, retryAfterMs, sendWebhook } from "../../../services/hooks/send-webhook.ts";
import type { Resolve } from "../../../services/shared/webhook-target.ts";

async function receiver(
  t: TestContext,
  listener: RequestListener,
): Promise<{ port: number; server: Server }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, server };
}

const loopback: Resolve = async () => [{ address: "127.0.0.1", family: 4 }];

function sendTo(
  url: string,
  options: { allowPrivate?: boolean; resolve?: Resolve; timeoutMs?: number } = {},
): Promise<Attempt> {
  return sendWebhook(
    { url, headers: { "x-test": "1" }, body: "{}" },
    {
      allowPrivate: options.allowPrivate ?? true,
      resolve: options.resolve ?? loopback,
      now: Date.now,
      signal: new AbortController().signal,
      ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    },
  );
}

test("a message is posted to the address that was looked up, under the name of the URL", async (t) => {
  const seen: string[] = [];
  const { port } = await receiver(t, (request, response) => {
    seen.push(`${request.method} ${request.headers.host} ${request.url}`);
    request.resume().on("end", () => response.writeHead(204).end());
  });
  const attempt = await sendTo(`http://hooks.example.test:${port}/in?a=1`);
  assert.deepEqual(attempt, { status: 204, error: null, retryAfterMs: undefined });
  assert.deepEqual(seen, [`POST hooks.example.test:${port} /in?a=1`]);
});

test("a name that leads outside when it is written and inside when it is called reaches nobody", async (t) => {
  let calls = 0;
  const { port } = await receiver(t, (_request, response) => {
    calls += 1;
    response.end();
  });
  let asked = 0;
  const rebinding: Resolve = async () => {
    asked += 1;
    return [{ address: asked === 1 ? "1.1.1.1" : "127.0.0.1", family: 4 }];
  };
  await rebinding("the look when it is written");
  const attempt = await sendTo(`https://rebind.example.test:${port}/`, {
    allowPrivate: false,
    resolve: rebinding,
  });
  assert.match(attempt.error ?? "", /not public/);
  assert.deepEqual([attempt.status, calls, asked], [null, 0, 2]);
});

test("the connection looks nothing up a second time", async (t) => {
  const { port } = await receiver(t, (_request, response) => response.writeHead(200).end());
  let asked = 0;
  const once: Resolve = async () => {
    asked += 1;
    if (asked > 1) throw new Error("asked again");
    return [{ address: "127.0.0.1", family: 4 }];
  };
  assert.equal((await sendTo(`http://once.example.test:${port}/`, { resolve: once })).status, 200);
  assert.equal(asked, 1);
});

test("a redirect is an answer like any other: nobody follows it", async (t) => {
  let calls = 0;
  const { port } = await receiver(t, (_request, response) => {
    calls += 1;
    response.writeHead(302, { location: "http://169.254.169.254/" }).end();
  });
  assert.equal((await sendTo(`http://x.example.test:${port}/`)).status, 302);
  assert.equal(calls, 1);
});

test("an endless answer is cut off and its status counts", async (t) => {
  const { port } = await receiver(t, (_request, response) => {
    response.writeHead(200);
    const timer = setInterval(() => response.write(Buffer.alloc(64 * 1024)), 1);
    response.on("close", () => clearInterval(timer));
  });
  assert.equal((await sendTo(`http://x.example.test:${port}/`, { timeoutMs: 20_000 })).status, 200);
});

test("silence ends with the time, also while the name is looked up", async (t) => {
  const { port } = await receiver(t, () => undefined);
  const silent = await sendTo(`http://x.example.test:${port}/`, { timeoutMs: 200 });
  assert.deepEqual([silent.status, silent.error], [null, "timed out"]);
  const lost = await sendTo("http://x.example.test/", {
    timeoutMs: 200,
    resolve: () => new Promise(() => undefined),
  });
  assert.deepEqual([lost.status, lost.error], [null, "timed out"]);
});

test("what cannot be reached is a failure with its code, not an exception", async (t) => {
  const { port, server } = await receiver(t, () => undefined);
  await new Promise((resolve) => server.close(resolve));
  const attempt = await sendTo(`http://x.example.test:${port}/`);
  assert.deepEqual([attempt.status, attempt.error], [null, "ECONNREFUSED"]);
});

test("Retry-After is read as seconds and as a date", () => {
  const nowMs = Date.parse("2026-01-01T00:00:00Z");
  assert.equal(retryAfterMs("120", nowMs), 120_000);
  assert.equal(retryAfterMs("Thu, 01 Jan 2026 00:01:00 GMT", nowMs), 60_000);
  for (const none of [undefined, "soon", "-5", "0", "Thu, 01 Jan 2025 00:00:00 GMT"])
    assert.equal(retryAfterMs(none, nowMs), undefined);
});

test("an answer that is none of a POST ends the attempt: another protocol, no HTTP, an end without a head", async (t) => {
  const answer = async (text: string): Promise<Attempt> => {
    const { port } = await receiver(t, ({ socket }) => socket.end(text));
    return sendTo(`http://odd.example.test:${port}/`);
  };
  const upgrade = await answer(
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
  );
  assert.deepEqual(upgrade, { status: 101, error: null, retryAfterMs: undefined });
  const noise = await answer("ICY 200 OK\r\n\r\n");
  assert.match(noise.error ?? "", /the answer is no HTTP \(HPE_/);
  assert.equal((await answer("")).error, "ECONNRESET");
});
