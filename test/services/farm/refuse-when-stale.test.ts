import assert from "node:assert/strict";
import { test } from "node:test";
import { refuseWhenStale } from "../../../services/farm/refuse-when-stale.ts";
import type { HttpServer } from "../../../services/shared/http-server.ts";

type Hook = (request: { url: string }, reply: unknown, done: (error?: Error) => void) => void;

/** A server whose log last said so long ago that there is nothing new. */
function server(unconfirmedMs: number) {
  let hook: Hook = () => undefined;
  let since = unconfirmedMs;
  const http = {
    addHook: (_name: string, added: Hook) => {
      hook = added;
    },
  };
  const stop = refuseWhenStale(http as unknown as HttpServer, { unconfirmedMs: () => since });
  return {
    answers: () => {
      since = 0;
    },
    ask: (url: string) =>
      new Promise<string>((resolve) =>
        hook({ url }, undefined, (error) => resolve(error?.message ?? "served")),
      ),
    stop,
  };
}

test("two seconds after the log was last confirmed nothing is served that a revoked token could ask for", async () => {
  const [fresh, stale] = [server(1_900), server(2_001)];
  assert.equal(await fresh.ask("/v1/whoami"), "served");
  const refused = [
    "/v1/whoami",
    "/v2/",
    "/",
    "/console/acme/bot",
    "/console/events?org=acme",
    "/metrics",
  ].map((url) => stale.ask(url));
  for (const url of ["/livez", "/readyz", "/version", "/openapi.json"])
    assert.equal(await stale.ask(url), "served", url);
  for (const answer of await Promise.all(refused)) assert.match(answer, /the command log does not answer/);
  fresh.stop();
  stale.stop();
});

test("a request waits a moment for a log that was held up, and is refused when that lasts", async () => {
  const [brief, lasting] = [server(2_200), server(2_200)];
  const waiting = brief.ask("/v1/whoami");
  brief.answers();
  const refused = lasting.ask("/v2/acme/bot/tags/list");
  assert.equal(await waiting, "served");
  assert.match(await refused, /the command log does not answer/);
  const last = lasting.ask("/v1/whoami");
  brief.stop();
  lasting.stop();
  assert.match(await last, /does not answer/, "a server that closes leaves nobody waiting");
});
