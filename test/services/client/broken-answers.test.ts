import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { connect, type Granary, type GranaryError } from "granary";

test("a number that is left out is an error that names it", async () => {
  const seen: string[] = [];
  await withFake(
    (_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.end(frame(1) + frame(2) + frame(4));
    },
    async (client) => {
      await assert.rejects(
        async () => {
          for await (const event of client.events()) seen.push(event.id);
        },
        { code: "EVENT_GAP", detail: { source: "/orgs/o/projects/p", expected: 3, actual: 4 } },
      );
    },
  );
  assert.deepEqual(seen, ["o/p/1", "o/p/2"]);
});

test("answers that are cut off anywhere are asked for again, and a stream that something ends is taken up", async () => {
  const asked: string[] = [];
  let claim = "";
  const answers: RequestListener = async (request, response) => {
    const path = request.url?.split("?")[0] ?? "";
    asked.push(path);
    const nth = asked.filter((known) => known === path).length;
    const text = (await request.toArray()).join("");
    if (path.endsWith(":claim")) claim = text;
    if (path !== "/v1/events") return sendCut(response, { nth });
    response.writeHead(200, { "content-type": "text/event-stream" });
    // What is between the client and the farm may end a stream as if it was over.
    if (nth < 3) response.end(nth === 1 ? "" : frame(1));
    else response.write(frame(2) + frame(3));
  };
  const told: string[] = [];
  const onRetry = (error: GranaryError) => void told.push(error.message.replace(/^\S+ |http:\S+ /g, ""));
  const seen = await withFake(answers, async (client) => {
    const subscription = client.subscribe({ group: "g", project: "p", onRetry });
    const ids: string[] = [];
    for await (const event of subscription) if (ids.push(event.id) === 3) break;
    await subscription.close();
    return ids;
  });
  assert.deepEqual(seen, ["o/p/1", "o/p/2", "o/p/3"]);
  assert.equal(JSON.parse(claim).project, "p");
  assert.deepEqual(new Set(told), new Set(["cannot be reached: UND_ERR_SOCKET", "event stream of ended"]));
  for (const path of ["/v1/whoami", "/v1/orgs/o/subscriptions/g:claim", "/v1/events"])
    assert.equal(asked.filter((known) => known === path).length, 3, path);
});

test("a place that comes without an event is gone on from, and committed", async () => {
  const from: (string | null)[] = [];
  const commits: string[] = [];
  const seen = await withFake(
    async (request, response) => {
      const url = new URL(request.url ?? "", "http://farm");
      const text = (await request.toArray()).join("");
      if (url.pathname === "/v1/events") {
        from.push(url.searchParams.get("cursor"));
        response.writeHead(200, { "content-type": "text/event-stream" });
        if (from.length === 1) response.end(`${frame(1)}id: 9-999999\n\n`);
        else response.write(frame(12).replace('"12"', '"2"'));
        return;
      }
      if (url.pathname.endsWith(":commit")) commits.push((JSON.parse(text) as { cursor: string }).cursor);
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ held: true, epoch: 1, cursor: "0-0" }));
    },
    async (client) => {
      const ids: string[] = [];
      for await (const event of client.subscribe({ org: "o", group: "g" }))
        if (ids.push(event.id) === 2) break;
      return ids;
    },
  );
  assert.deepEqual(
    [seen, from],
    [
      ["o/p/1", "o/p/12"],
      ["0-0", "9-999999"],
    ],
  );
  assert.equal(commits.at(-1), "9-999999");
});

test("what is no farm is said as that, and not tried again", async () => {
  for (const url of ["127.0.0.1:7421", "localhost:7421", "ftp://farm", ""])
    assert.throws(() => connect({ url, token: "t" }), { code: "USAGE", message: /no farm's URL/ });
  assert.throws(() => connect({ url: "http://farm", token: "a\nb" }), {
    code: "USAGE",
    message: /the token/,
  });
  await withFake(
    (_request, response) => response.writeHead(200, { "content-type": "text/html" }).end("<p>welcome"),
    async (client) => {
      for (const asking of [client.current("o/p"), client.snapshot(), client.events().next()])
        await assert.rejects(asking, { code: "USAGE", message: /answered 200: <p>welcome/ });
    },
  );
});

test("a refusal that no waiting mends ends a subscriber, with what the farm says to do", async () => {
  const hint = "Remove some that nobody reads for.";
  const refused = {
    status: 403,
    code: "QUOTA_EXCEEDED",
    detail: "o has 1000 groups",
    hint,
    params: { limit: 1000 },
  };
  await withFake(
    (_request, response) => {
      response.writeHead(403, { "content-type": "application/problem+json" });
      response.end(JSON.stringify(refused));
    },
    async (client) => {
      const reading = client.subscribe({ org: "o", group: "g" })[Symbol.asyncIterator]();
      await assert.rejects(reading.next(), { code: "QUOTA_EXCEEDED", message: refused.detail, hint });
    },
  );
});

function frame(n: number): string {
  const event = {
    id: `o/p/${n}`,
    source: "/orgs/o/projects/p",
    sequence: String(n),
    granarycursor: `${n}-0`,
  };
  return `id: ${n}-0\ndata: ${JSON.stringify(event)}\n\n`;
}

/** Whole from the third time on: before, a success and a refusal that break off. */
function sendCut(response: ServerResponse, { nth }: { nth: number }): void {
  const json = JSON.stringify({ org: "o", held: true, epoch: 1, cursor: "0-0" });
  const headers = { "content-type": "application/json", "content-length": json.length };
  response.writeHead(nth === 2 ? 503 : 200, headers);
  if (nth > 2) response.end(json);
  else response.write(json.slice(1), () => response.destroy());
}

/** A client of a server that answers as `answers` does. */
async function withFake<T>(answers: RequestListener, body: (client: Granary) => Promise<T>): Promise<T> {
  const server = createServer(answers);
  await once(server.listen(0, "127.0.0.1"), "listening");
  try {
    const { port } = server.address() as AddressInfo;
    return await body(connect({ url: `http://127.0.0.1:${port}`, token: "t" }));
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
