import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { NodeJson, Page, PublishJson, ReleaseJson } from "../../proto/http.ts";
import { appArchive } from "./app-archive.ts";
import { eventually, type TestFarm } from "./farm.ts";
import { type Answer, makeToken, projectUrl, publish, send, storeStat } from "./farm-requests.ts";
import { commitUpload, listFiles, missingContent, plan, putStream } from "./listing.ts";
import { random } from "./random.ts";
import { parseAnswer, rawConnection, readAnswer } from "./raw-http.ts";

export interface SoakOptions {
  readonly seconds: number;
  readonly publishers: number;
  /** Clients that send their archive byte by byte, over most of the time. */
  readonly slowClients: number;
  readonly orgs: number;
  readonly projectsPerOrg: number;
  readonly filesPerApp: number;
  readonly seed: number;
}

export interface SoakReport {
  readonly published: number;
  /** Accepted to ready, as its client saw it. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly backPressure: number;
  readonly perOrg: readonly number[];
  /** Memory of the farm's process, every half second. */
  readonly anonMib: readonly number[];
  /** Pages of LMDB's files, which the kernel takes back when it needs them. */
  readonly mappedMib: readonly number[];
}

/** One org's publisher: its token, and the application that it changes a little each time. */
interface Publisher {
  readonly org: string;
  readonly project: string;
  readonly token: string;
  readonly name: string;
  readonly files: Record<string, string>;
}

const FILE_BYTES = 2_000;
const RSS_INTERVAL_MS = 500;
/** A publish of a farm that is flooded waits; it does not wait for ever. */
const END_LIMIT_MS = 180_000;

/**
 * Publishers that send archives and listings as fast as the farm answers, 1 % changed each time, beside clients that are slow.
 * Throws on an answer that is neither success nor back-pressure; then checks that every accepted publish ended exactly once,
 * that versions have no gaps, and that the store is whole.
 */
export async function soakPublishers(farm: TestFarm, options: SoakOptions): Promise<SoakReport> {
  const next = random(options.seed);
  const publishers = await startPublishers(farm, options, next);
  const until = Date.now() + options.seconds * 1_000;
  const accepted = new Map<string, Publisher>();
  const latencies: number[] = [];
  const perOrg = new Map<string, number>();
  const pressure = { count: 0 };
  const rss = sampleRss(farm.pid);

  const run = async (publisher: Publisher, n: number): Promise<void> => {
    for (let round = 0; Date.now() < until; round++) {
      change(publisher, round, next);
      const commit = `${publisher.name}-${round}`;
      const send = (n + round) % 2 === 0 ? sendArchive : sendListing;
      const id = await send(farm, publisher, { commit, pressure });
      const began = performance.now();
      assert.ok(!accepted.has(id), `${id} was accepted twice`);
      accepted.set(id, publisher);
      await untilReady(farm, publisher, { id, pressure });
      latencies.push(performance.now() - began);
      perOrg.set(publisher.org, (perOrg.get(publisher.org) ?? 0) + 1);
    }
  };
  const slow = Array.from({ length: options.slowClients }, async (_, i) => {
    const publisher = publishers[i % publishers.length] as Publisher;
    const id = await sendByteByByte(farm, publisher, { name: `slow-${i}`, ms: options.seconds * 700 });
    assert.ok(!accepted.has(id));
    accepted.set(id, publisher);
    await untilReady(farm, publisher, { id, pressure });
  });
  try {
    await Promise.all([...publishers.map(run), ...slow]);
  } finally {
    rss.stop();
  }
  await checkEnd(farm, accepted);
  latencies.sort((a, b) => a - b);
  return {
    published: accepted.size,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    backPressure: pressure.count,
    perOrg: [...perOrg.values()],
    anonMib: rss.mib,
    mappedMib: rss.fileMib,
  };
}

/** How much the memory of the last third is above that of the second; the first is warm-up. */
export function memoryGrowthMib({ anonMib }: SoakReport): number {
  const third = Math.floor(anonMib.length / 3);
  const highest = (from: number, to: number): number => Math.max(0, ...anonMib.slice(from, to));
  return highest(2 * third, anonMib.length) - highest(third, 2 * third);
}

async function startPublishers(
  farm: TestFarm,
  options: SoakOptions,
  next: () => number,
): Promise<readonly Publisher[]> {
  const orgs = Array.from({ length: options.orgs }, (_, i) => `org-${i}`);
  const tokens = await Promise.all(orgs.map(async (org) => (await makeToken(farm, org, ["write"])).token));
  const bases = Array.from({ length: options.orgs * options.projectsPerOrg }, () =>
    Object.fromEntries(
      Array.from({ length: options.filesPerApp }, (_, i) => [`src/f${i}.js`, content(next)]),
    ),
  );
  return Array.from({ length: options.publishers }, (_, i) => {
    const at = i % options.orgs;
    const project = Math.floor(i / options.orgs) % options.projectsPerOrg;
    const base = bases[at * options.projectsPerOrg + project];
    return {
      org: orgs[at] ?? "",
      token: tokens[at] ?? "",
      project: `p${project}`,
      name: `w${i}`,
      files: { ...base },
    };
  });
}

function content(next: () => number): string {
  let text = "";
  while (text.length < FILE_BYTES) text += next().toString(36).slice(2);
  return text;
}

/** 1 % of the files, one at least; the publisher's own mark makes every content new. */
function change({ files, name }: Publisher, round: number, next: () => number): void {
  const paths = Object.keys(files);
  for (let i = 0; i < Math.max(1, paths.length / 100); i++)
    files[paths[Math.floor(next() * paths.length)] ?? ""] = content(next);
  files["mark.txt"] = `${name} ${round}`;
}

interface About {
  readonly commit: string;
  readonly pressure: { count: number };
}

async function sendArchive(
  farm: TestFarm,
  publisher: Publisher,
  { commit, pressure }: About,
): Promise<string> {
  const { org, project, token, files } = publisher;
  const archive = appArchive(files);
  const answer = await patiently(pressure, () =>
    publish<PublishJson>(farm, project, archive, { org, token, query: { commit } }),
  );
  return answer.body.publish_id;
}

async function sendListing(
  farm: TestFarm,
  publisher: Publisher,
  { commit, pressure }: About,
): Promise<string> {
  const { org, project, token } = publisher;
  const files = listFiles(publisher.files);
  const planned = await patiently(pressure, () => plan(farm, project, files.listing, { org, token }));
  const { session = "", missing_bytes } = planned.body;
  if (missing_bytes > 0)
    await patiently(pressure, () =>
      putStream(farm, project, session, missingContent(files, planned.body), { org, token }),
    );
  const committed = await patiently(pressure, () =>
    commitUpload(farm, project, session, { org, token, body: { commit }, waitSeconds: 0 }),
  );
  return committed.body.publish_id;
}

/** Repeats what the farm puts off, after the time that it says. Anything else that is no success fails the soak. */
async function patiently<T>(
  pressure: { count: number },
  attempt: () => Promise<Answer<T>>,
): Promise<Answer<T>> {
  const deadline = Date.now() + END_LIMIT_MS;
  for (;;) {
    const answer = await attempt();
    if (answer.status >= 200 && answer.status < 300) return answer;
    assert.ok(answer.status === 429 || answer.status === 503, `${answer.status} ${answer.text}`);
    const retryAfterS = Number(answer.headers.get("retry-after"));
    assert.ok(retryAfterS >= 1, `back-pressure without Retry-After: ${answer.text}`);
    assert.ok(Date.now() < deadline, `put off for ${END_LIMIT_MS} ms: ${answer.text}`);
    pressure.count += 1;
    await sleep(retryAfterS * 1_000);
  }
}

async function untilReady(
  farm: TestFarm,
  { token }: Publisher,
  { id, pressure }: { id: string; pressure: { count: number } },
): Promise<void> {
  const deadline = Date.now() + END_LIMIT_MS;
  for (;;) {
    const { body } = await patiently(pressure, () =>
      send<PublishJson>(farm, `/v1/publishes/${id}?wait=30`, { token }),
    );
    if (body.state === "ready") return;
    assert.ok(!["failed", "cancelled"].includes(body.state), JSON.stringify(body.error));
    assert.ok(Date.now() < deadline, `${id} is ${body.state} after ${END_LIMIT_MS} ms`);
  }
}

async function sendByteByByte(
  farm: TestFarm,
  { org, project, token }: Publisher,
  { name, ms }: { name: string; ms: number },
): Promise<string> {
  const body = appArchive({ "slow.txt": name });
  const socket = await rawConnection(farm.url);
  const answer = readAnswer(socket, ms + END_LIMIT_MS);
  socket.setNoDelay(true);
  socket.write(
    `POST ${projectUrl(project, org)}/publishes HTTP/1.1\r\nHost: farm\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/gzip\r\nContent-Length: ${body.byteLength}\r\n\r\n`,
  );
  for (const byte of body) {
    socket.write(Uint8Array.of(byte));
    await sleep(ms / body.byteLength);
  }
  const { status, body: text } = parseAnswer(await answer);
  socket.destroy();
  assert.equal(status, 202, `${name}: ${status} ${text}`);
  return (JSON.parse(text) as PublishJson).publish_id;
}

function sampleRss(pid: number): { readonly mib: number[]; readonly fileMib: number[]; stop(): void } {
  const mib: number[] = [];
  const fileMib: number[] = [];
  const sample = (): void => {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const of = (name: string): number =>
      Math.round(Number(new RegExp(`^${name}:\\s+([0-9]+) kB`, "m").exec(status)?.[1]) / 1024);
    mib.push(of("RssAnon"));
    fileMib.push(of("RssFile"));
  };
  const timer = setInterval(sample, RSS_INTERVAL_MS);
  return { mib, fileMib, stop: () => clearInterval(timer) };
}

async function checkEnd(farm: TestFarm, accepted: ReadonlyMap<string, Publisher>): Promise<void> {
  const projects = new Map([...accepted.values()].map(({ org, project }) => [projectUrl(project, org), org]));
  const released: string[] = [];
  for (const url of projects.keys()) {
    const releases = await all<ReleaseJson>(farm, `${url}/releases`);
    const versions = releases.map(({ version }) => Number(version?.slice(1))).sort((a, b) => a - b);
    assert.deepEqual(
      versions,
      Array.from(versions, (_, i) => i + 1),
      `versions of ${url}`,
    );
    released.push(...releases.map(({ publish_id }) => publish_id));
  }
  assert.deepEqual(released.sort(), [...accepted.keys()].sort(), "every accepted publish became one release");
  await eventually(
    async () => ((await storeStat(farm)).inbox_bytes === 0 ? true : undefined),
    30_000,
    "the inbox is empty",
  );
  const { items } = await farm.json<Page<NodeJson>>("/v1/nodes");
  assert.deepEqual(
    items.map(({ jobs }) => jobs),
    [0],
  );
  const fsck = await farm.json<Record<string, number>>("/v1/store:fsck", { method: "POST" });
  assert.deepEqual([fsck["corrupt"], fsck["missing"], fsck["misframed"]], [0, 0, 0]);
}

async function all<T>(farm: TestFarm, path: string): Promise<T[]> {
  const items: T[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const search: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page: Page<T> = await farm.json<Page<T>>(`${path}?limit=200${search}`);
    items.push(...page.items);
    cursor = page.next_cursor;
  }
  return items;
}

function quantile(sorted: readonly number[], q: number): number {
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0);
}
