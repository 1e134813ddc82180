import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { appArchive } from "../helpers/app-archive.ts";
import { eventually, removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { makeToken, projectUrl, publish, publishReady, send } from "../helpers/farm-requests.ts";
import { findProgram, missing } from "../helpers/run-program.ts";

/** The pages for people: what they show to whom, that they cannot be made to act, and how they do in a real browser. */
const folder = tempDir("console");
const HOSTILE = `"'><script>document.title="owned"</script><img src=x onerror=alert(1)>\u202e&lt;`;
const PAGE = { accept: "text/html,application/xhtml+xml" };
let farm: TestFarm;

before(async () => {
  farm = await startTestFarm({ data: join(folder, "data") });
  await publishReady(farm, "app", appArchive({ a: "1" }), { query: { commit: "1234567", source: HOSTILE } });
  await publishReady(farm, "app", appArchive({ a: "2" }));
  await publishReady(farm, "other", appArchive({ a: "2" }), { org: "stranger" });
  const hold = await send(farm, `${projectUrl("app")}/holds`, { json: { reason: HOSTILE, for: "8h" } });
  assert.equal(hold.status, 200, hold.text);
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

/** A request as a browser sends it: no Authorization header. */
function browse(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { ...PAGE, ...(init.headers as Record<string, string>) };
  return fetch(`${farm.url}${path}`, { redirect: "manual", ...init, headers });
}

async function signIn(token: string, headers: Record<string, string> = {}): Promise<Response> {
  return browse("/console/sign-in", { method: "POST", body: new URLSearchParams({ token }), headers });
}

async function cookieOf(token: string): Promise<{ cookie: string }> {
  const answer = await signIn(token);
  assert.equal(answer.status, 303, await answer.text());
  return { cookie: (answer.headers.get("set-cookie") ?? "").split(";")[0] ?? "" };
}

async function pageOf(
  path: string,
  headers: Record<string, string>,
): Promise<{ status: number; text: string }> {
  const answer = await browse(path, { headers });
  return { status: answer.status, text: await answer.text() };
}

describe("signing in", () => {
  test("gives a cookie that scripts cannot read, other sites do not send, and that does not hold the token", async () => {
    const answer = await signIn(farm.token);
    assert.equal(answer.headers.get("location"), "/");
    const cookie = answer.headers.get("set-cookie") ?? "";
    assert.match(cookie, /; Path=\/; HttpOnly; SameSite=Strict$/);
    assert.ok(!cookie.includes(farm.token));
    const behindTls = await signIn(farm.token, { "x-forwarded-proto": "https" });
    assert.match(behindTls.headers.get("set-cookie") ?? "", /; Secure$/);
  });

  test("with a token that is none shows the form again; a form of another site is refused", async () => {
    const wrong = await signIn("gr_none");
    assert.equal(wrong.status, 401);
    assert.equal(wrong.headers.get("set-cookie"), null);
    assert.match(await wrong.text(), /role="alert">This token is not valid/);
    for (const headers of [{ "sec-fetch-site": "cross-site" }, { origin: "http://evil.example" }])
      assert.equal((await signIn(farm.token, headers)).status, 403);
    assert.equal((await signIn("x".repeat(3_000))).status, 413);
  });

  test("the cookie opens pages, and no other route", async () => {
    const cookie = await cookieOf(farm.token);
    assert.equal((await pageOf("/console/default/app", cookie)).status, 200);
    const paths = ["/v1/whoami", "/v1/orgs/default/projects", "/v1/events", "/v2/"];
    for (const path of paths) assert.equal((await browse(path, { headers: cookie })).status, 401, path);
    const rollback = await browse(`${projectUrl("app")}/rollbacks`, { method: "POST", headers: cookie });
    assert.equal(rollback.status, 401);
    assert.equal((await pageOf("/console/default/app", { cookie: `${cookie.cookie}x` })).status, 401);
  });

  test("ends with the token", async () => {
    const { id, token } = await makeToken(farm, "default", ["read"]);
    const cookie = await cookieOf(token);
    assert.equal((await pageOf("/", cookie)).status, 200);
    await send(farm, `/v1/orgs/default/tokens/${id}`, { method: "DELETE" });
    const after = await pageOf("/", cookie);
    assert.equal(after.status, 401);
    assert.match(after.text, /expired or was revoked/);
  });
});

test("metrics are lines of Prometheus text that tell what nodes, queue, store and requests do", async () => {
  const { status, headers, text } = await send(farm, "/metrics");
  assert.equal(status, 200);
  assert.match(headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  for (const line of text.trimEnd().split("\n"))
    assert.match(line, /^(# (HELP|TYPE) granary_[a-z_]+ .+|granary_[a-z_]+(\{[a-z]+="[^"\\]+"\})? [0-9.]+)$/);
  assert.match(text, /^granary_ready 1$/m);
  assert.match(text, /^granary_http_requests_in_flight 1$/m);
  assert.match(text, /^granary_publishes\{state="queued"\} 0$/m);
  assert.match(text, /^granary_node_threads\{node="local"\} [1-9]/m);
});

describe("a page", () => {
  test("shows what its token may read: own org, own project, farm parts with farm:read only", async () => {
    const all = await pageOf("/", await cookieOf(farm.token));
    assert.match(all.text, /id="nodes"/);
    assert.match(all.text, /href="\/console\/default\/app"/);
    assert.ok(!all.text.includes("/console/stranger"), "projects of another org");
    assert.match(
      all.text,
      /Other orgs: .*<a href="\/\?org=stranger">stranger<\/a>/,
      "which farm:admin may look into",
    );
    assert.match(
      (await pageOf("/?org=stranger", await cookieOf(farm.token))).text,
      /\/console\/stranger\/other/,
    );

    const { token } = await makeToken(farm, "stranger", ["read"]);
    const foreign = await cookieOf(token);
    const own = await pageOf("/", foreign);
    assert.match(own.text, /\/console\/stranger\/other/);
    assert.doesNotMatch(own.text, /id="(nodes|queue|store|orgs)"|default/);
    const there = await pageOf("/console/default/app", foreign);
    const absent = await pageOf("/console/default/nope", foreign);
    assert.equal(there.status, 404);
    assert.equal(there.text.replaceAll("app", "nope"), absent.text.replaceAll("app", "nope"));
    assert.equal((await pageOf("/?org=default", foreign)).status, 404);

    const bound = await makeToken(farm, "default", ["read"], { project: "only" });
    const cut = await pageOf("/", await cookieOf(bound.token));
    assert.ok(!cut.text.includes("/console/default/app"), "another project than the token's");
  });

  test("of many projects leads on and back, begins where one asks, and says how many publishes wait", async () => {
    const { token } = await makeToken(farm, "crowd", ["admin"]);
    const names = Array.from({ length: 7 }, (_, n) => `service-${n}`);
    const publishing = names.map((name) => publishReady(farm, name, appArchive({ name }), { org: "crowd" }));
    await Promise.all(publishing);
    const cookie = await cookieOf(token);
    const shown = async (search: string) => {
      const { status, text } = await pageOf(`/${search}`, cookie);
      assert.equal(status, 200, text);
      const part = /<section id="projects"[\s\S]*?<\/section>/.exec(text)?.[0] ?? "";
      const link = (name: string) =>
        new RegExp(`<a href="([^"]*)">${name}</a>`).exec(part)?.[1]?.replaceAll("&#38;", "&");
      const listed = [...part.matchAll(/console\/crowd\/(service-\d)"/g)].map(([, name]) => name);
      return { text, listed, more: link("More"), first: link("First") };
    };
    const whole = await shown("");
    assert.deepEqual([whole.listed, whole.more, whole.first], [names, undefined, undefined]);
    assert.doesNotMatch(whole.text, /class="jump"/, "nothing to look for on one page");
    const seen: (string | undefined)[] = [];
    let page = await shown("?limit=3");
    for (; ; page = await shown(`${page.more}&limit=3`)) {
      seen.push(...page.listed);
      assert.match(page.text, /<form class="jump" method="get" action="\/" role="search">/);
      if (page.more === undefined) break;
    }
    assert.deepEqual(seen, names);
    assert.deepEqual((await shown(page.first ?? "")).listed, names);
    assert.deepEqual((await shown("?from=service-4")).listed, names.slice(4));
    assert.deepEqual((await shown("?from=SERV")).listed, names, "the begin of a name, however it is written");
    assert.deepEqual((await shown("?from=zz")).listed, []);
    assert.equal((await pageOf("/?from=%3Cscript%3E", cookie)).status, 400);

    const cordon = (cordoned: boolean) =>
      send(farm, "/v1/nodes/local", { method: "PUT", json: { cordoned } });
    await cordon(true);
    const waiting = Array.from({ length: 23 }, (_, n) =>
      publish(farm, names[n % 7] ?? "", appArchive({ n: `${n}` }), { org: "crowd" }),
    );
    await Promise.all(waiting);
    const busy = await shown("");
    assert.match(busy.text, /In progress <small>the oldest 20 of 23<\/small>/);
    const bound = await makeToken(farm, "crowd", ["read"], { project: "service-6" });
    const own = await pageOf("/", await cookieOf(bound.token));
    assert.equal(own.text.match(/<code>pub_/g)?.length, 3);
    await cordon(false);
  });

  test("has publishers' words as text only", async () => {
    const cookie = await cookieOf(farm.token);
    for (const path of ["/", "/console/default/app"]) {
      const { text } = await pageOf(path, cookie);
      assert.ok(!text.includes("<img"), path);
      assert.equal(text.match(/<script/g)?.length, 1, path);
    }
    const project = await pageOf("/console/default/app", cookie);
    assert.match(project.text, /until <time [^>]+>\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ<\/time>/);
    assert.match(project.text, /<bdi>&#34;&#39;&#62;&#60;script&#62;/);
  });

  test("runs nothing but its own script, is never kept, and is not framed", async () => {
    const { headers } = await browse("/");
    const policy = headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe|http|\*/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.equal(headers.get("cache-control"), "no-store");
  });

  test("is JSON for who wants none", async () => {
    const answer = await fetch(`${farm.url}/`);
    assert.equal(answer.headers.get("content-type"), "application/json; charset=utf-8");
    assert.equal(((await answer.json()) as { openapi: string }).openapi, "/openapi.json");
  });
});

const chromium = findProgram("chromium") ?? findProgram("google-chrome");

describe("a real browser", { skip: chromium === undefined && missing("chromium") }, () => {
  let browser: Browser;
  let page: Page;
  const said: string[] = [];

  before(async () => {
    browser = await puppeteer.launch({
      executablePath: chromium ?? "",
      // The tests often run as root in a container, where Chromium's sandbox cannot.
      args: ["--no-sandbox", "--disable-dev-shm-usage"],
    });
    page = await browser.newPage();
    page.on("console", (message) => said.push(`${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => said.push(String(error)));
    page.on("dialog", (dialog) => {
      said.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    await page.goto(farm.url);
    await page.type("#token", farm.token);
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  });
  after(async () => {
    await browser.close();
  });

  const textOf = (selector: string): Promise<string> =>
    page.$eval(selector, (element) => element.textContent ?? "");

  const shows = (selector: string, words: string): Promise<true> =>
    eventually(
      async () => (await textOf(selector)).includes(words) || undefined,
      20_000,
      `${selector}: ${words}`,
    );

  test("shows a publish, and a project that it makes, without a reload", async () => {
    await page.waitForFunction('document.getElementById("live").textContent === "live"');
    await page.evaluate("window.kept = true");
    await publishReady(farm, "fresh", appArchive({ a: "1" }));
    await shows("#projects", "fresh");
    await shows("#events", "release.activated");
    assert.equal(await page.evaluate("window.kept"), true, "the page was loaded anew");
  });

  test("fits a phone, has words that stay words, and says nothing on its console", async () => {
    await page.setViewport({ width: 360, height: 740, isMobile: true });
    for (const path of ["/", "/console/default/app"]) {
      await page.goto(`${farm.url}${path}`);
      const wide = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth");
      assert.equal(wide, 0, `${path} is wider than the screen`);
    }
    assert.match(await textOf("#releases"), /<script>document.title/);
    assert.equal(await page.title(), "default/app - Granary");
    assert.deepEqual(said, []);
  });

  test("is used with the keyboard alone: skip link, links, image references, sign out", async () => {
    await page.goto(`${farm.url}/console/default/app`);
    const reached: string[] = [];
    for (let i = 0; i < 12; i += 1) {
      await page.keyboard.press("Tab");
      reached.push(String(await page.evaluate("document.activeElement.outerHTML.slice(0, 60)")));
    }
    const all = reached.join("\n");
    for (const expected of [/class="skip"/, /class="mark"/, /<button>/, /href="\/\?org=default"/, /<summary/])
      assert.match(all, expected);
    assert.deepEqual(said, []);
  });

  test("works without its script", async () => {
    await page.setJavaScriptEnabled(false);
    await page.goto(`${farm.url}/`);
    assert.match(await page.content(), /href="\/console\/default\/fresh"/);
    await page.setJavaScriptEnabled(true);
  });
});
