import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { CloudEvent } from "../../proto/events.ts";
import type {
  AuditJson,
  CurrentJson,
  Page,
  PointerChangeJson,
  PreviewJson,
  ProjectJson,
  PublishJson,
  ReleaseJson,
  SessionJson,
  TokenJson,
  WhoamiJson,
} from "../../proto/http.ts";
import { appArchive } from "./app-archive.ts";
import { natsPid, type TestFarm } from "./farm.ts";
import { type Answer, ended, projectUrl, type SendOptions, send } from "./farm-requests.ts";
import { random } from "./random.ts";

export interface RetryCounts {
  /** Commands that were answered. */
  commands: number;
  /** Requests that got no answer, or one that says "ask again". */
  unanswered: number;
  /** Moves of a pointer whose answer was lost though they had taken effect. */
  lostAnswers: number;
}

/**
 * Clients that send one command after the other, each to a project of its own, so that each knows what every answer has to be. The
 * farm, and every second time its nats-server alone, is killed under them and comes back; what was not answered is asked again with its key until it is. Nothing may have happened
 * twice, or not at all, or otherwise than it is told. @throws AssertionError
 */
export async function killUnderRetries(options: {
  seed: number;
  kills: number;
  clients: number;
  start(port?: string): Promise<TestFarm>;
}): Promise<RetryCounts> {
  const world = new World(options.seed, await options.start());
  const clients = Array.from({ length: options.clients }, (_, n) => new Client(world, `retry-${n}`));
  await Promise.all(clients.map((client) => client.begin()));
  const running = Promise.all(clients.map((client) => client.run()));
  running.catch(() => undefined);
  const port = new URL(world.farm.url).port;
  for (let n = 0; n < options.kills; n++) {
    await Promise.race([sleep(250 + world.random() * 500), running]);
    if (n % 2 === 0) await world.restart(() => options.start(port));
    else killNats(world.farm.data);
  }
  await Promise.race([sleep(250), running]);
  world.over = true;
  await running;
  for (const client of clients) await client.check();
  await checkTokens(world, clients);
  assert.equal(await world.farm.stop(), 0);
  return world.counts;
}

function killNats(data: string): void {
  try {
    process.kill(natsPid(data), "SIGKILL");
  } catch {
    // It is being started again.
  }
}

class World {
  readonly counts: RetryCounts = { commands: 0, unanswered: 0, lostAnswers: 0 };
  readonly random: () => number;
  farm: TestFarm;
  over = false;
  /** Resolves when the farm is there. */
  back: Promise<void> = Promise.resolve();

  constructor(seed: number, farm: TestFarm) {
    this.random = random(seed);
    this.farm = farm;
  }

  async restart(start: () => Promise<TestFarm>): Promise<void> {
    let isBack: () => void = () => undefined;
    this.back = new Promise((resolve) => {
      isBack = resolve;
    });
    await this.farm.kill();
    this.farm = await start();
    isBack();
  }
}

/** One project, and what it must look like. */
class Client {
  readonly tokens: string[] = [];
  readonly #world: World;
  readonly #project: string;
  readonly #url: string;
  readonly #done = new Map<string, number>();
  readonly #sessions = new Map<string, Pick<SessionJson, "version" | "generation">>();
  #keys = 0;
  #versions = 0;
  #generation = 0;
  #current = "";
  #held = false;
  #preview: "none" | "ready" | "promoted" = "none";

  constructor(world: World, project: string) {
    this.#world = world;
    this.#project = project;
    this.#url = projectUrl(project);
  }

  async begin(): Promise<void> {
    await this.#publish();
    await this.#publish();
  }

  async run(): Promise<void> {
    while (!this.#world.over) {
      const act = Math.floor(this.#world.random() * 10);
      if (act === 0) await this.#publish();
      else if (act <= 2) await this.#move("activations", this.#other());
      else if (act === 3) await this.#move("rollbacks", this.#other());
      else if (act === 4) await this.#hold(!this.#held);
      else if (act <= 7) await this.#startSession();
      else if (act === 8) await this.#movePreview();
      else await this.#createToken();
    }
  }

  async #publish(): Promise<void> {
    const body = await this.#send("publishes");
    const { release } = body;
    assert.equal(release?.version, `v${this.#versions + 1}`, JSON.stringify(body));
    this.#released(`v${this.#versions + 1}`);
  }

  /** Publishes what was never published before, and answers its end. */
  async #send(path: string): Promise<PublishJson> {
    const answer = await this.#ask<PublishJson>(path, {
      method: "POST",
      bytes: appArchive({ "own.txt": `${this.#project} ${this.#keys}` }),
      headers: { "content-type": "application/gzip", prefer: "wait=20" },
    });
    assert.ok([200, 201, 202].includes(answer.status), answer.text);
    return answer.status === 202 ? this.#end(answer.body.publish_id) : answer.body;
  }

  async #end(id: string): Promise<PublishJson> {
    for (;;)
      try {
        return await ended(this.#world.farm, id);
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
        await this.#world.back;
      }
  }

  #released(version: string): void {
    this.#versions += 1;
    if (!this.#held) this.#moved(version, "activate");
  }

  #moved(version: string, action: string): void {
    this.#count(action);
    this.#generation += 1;
    this.#current = version;
  }

  /** A release that is not live. */
  #other(): string {
    const n = 1 + Math.floor(this.#world.random() * (this.#versions - 1));
    return n < Number(this.#current.slice(1)) ? `v${n}` : `v${n + 1}`;
  }

  async #move(path: "activations" | "rollbacks", to: string): Promise<void> {
    const json = path === "activations" ? { version: to } : { to };
    const { body, status, text } = await this.#ask<PointerChangeJson>(path, { json });
    const told = [status, body.changed, body.generation, body.from, body.to, body.version];
    assert.deepEqual(told, [200, true, this.#generation + 1, this.#current, to, to], text);
    this.#moved(to, path === "activations" ? "activate" : "rollback");
    if (path === "rollbacks") this.#held = true;
  }

  async #hold(held: boolean): Promise<void> {
    const { body, status, text } = await this.#ask<ProjectJson>(
      "holds",
      held ? { json: { reason: "a test" } } : { method: "DELETE" },
    );
    assert.deepEqual([status, body.held !== null], [200, held], text);
    this.#held = held;
    this.#count(held ? "hold" : "unhold");
  }

  async #startSession(): Promise<void> {
    const id = `s-${this.#keys}`;
    const path = `sessions/${id}`;
    const { body, status, text } = await this.#ask<SessionJson>(path, { method: "PUT", json: {} });
    assert.ok(status === 201 || status === 200, text);
    const { version, generation } = body;
    assert.deepEqual([version, generation], [this.#current, this.#generation], text);
    this.#sessions.set(id, { version, generation });
  }

  /** A preview is published, pinned and promoted, then removed. */
  async #movePreview(): Promise<void> {
    if (this.#preview === "none") {
      const { preview } = await this.#send("publishes?preview=pr-1&ttl=1h");
      assert.equal(preview?.name, "pr-1");
      const pinned = await this.#ask<PreviewJson>("previews/pr-1:pin", { json: {} });
      assert.deepEqual([pinned.status, pinned.body.pinned], [200, true], pinned.text);
      this.#preview = "ready";
      this.#count("preview.pin");
    } else if (this.#preview === "ready") {
      const { body, status, text } = await this.#ask<ReleaseJson>("previews/pr-1:promote", { json: {} });
      const version = `v${this.#versions + 1}`;
      assert.deepEqual([status, body.version, body.activated], [201, version, !this.#held], text);
      this.#released(version);
      this.#preview = "promoted";
      this.#count("preview.promote");
    } else {
      const { status, text } = await this.#ask("previews/pr-1", { method: "DELETE" });
      assert.equal(status, 204, text);
      this.#preview = "none";
      this.#count("preview.remove");
    }
  }

  async #createToken(): Promise<void> {
    const json = { scopes: ["read"], project: this.#project };
    const { body, status, text } = await this.#ask<TokenJson>("/v1/orgs/default/tokens", { json });
    assert.equal(status, 201, text);
    this.tokens.push(body.id);
    await this.#world.back;
    const works = await send<WhoamiJson>(this.#world.farm, "/v1/whoami", { token: body.token }).catch(
      () => undefined,
    );
    if (works !== undefined) assert.deepEqual([works.status, works.body.token_id], [200, body.id]);
  }

  #count(action: string): void {
    this.#done.set(action, (this.#done.get(action) ?? 0) + 1);
  }

  /** Asks under a key of its own until there is an answer. */
  async #ask<T>(path: string, options: SendOptions): Promise<Answer<T>> {
    const world = this.#world;
    const headers = { ...options.headers, "idempotency-key": `${this.#project}-${this.#keys++}` };
    for (;;) {
      try {
        const url = path.startsWith("/") ? path : `${this.#url}/${path}`;
        const answer = await send<T>(world.farm, url, { ...options, headers });
        if (![429, 503, 504].includes(answer.status)) {
          world.counts.commands += 1;
          return answer;
        }
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
      }
      world.counts.unanswered += 1;
      await world.back;
      if (/activations|rollbacks/.test(path)) await this.#look();
      await sleep(20);
    }
  }

  /** Whether what was not answered has taken effect. */
  async #look(): Promise<void> {
    const path = `${this.#url}/current`;
    const answer = await send<CurrentJson>(this.#world.farm, path).catch(() => undefined);
    if (answer?.status === 200 && answer.body.generation > this.#generation)
      this.#world.counts.lostAnswers += 1;
  }

  /** The project is what its client was told, and was moved as often. */
  async check(): Promise<void> {
    const { farm } = this.#world;
    const current = await farm.json<CurrentJson>(`${this.#url}/current`);
    assert.deepEqual([current.version, current.generation], [this.#current, this.#generation]);
    assert.equal(current.held !== null, this.#held);
    const releases = await all<ReleaseJson>(farm, `${this.#url}/releases`);
    assert.equal(releases.length, this.#versions);
    const sessions = await all<SessionJson>(farm, `${this.#url}/sessions`);
    assert.deepEqual(
      new Map(sessions.map(({ id, version, generation }) => [id, { version, generation }])),
      this.#sessions,
    );
    const events = await all<CloudEvent>(farm, `/v1/events?project=${this.#project}`);
    assert.deepEqual(
      events.map(({ sequence }) => Number(sequence)),
      events.map((_, n) => n + 1),
    );
    const activated = events.filter(({ type }) => type.includes("release.activated"));
    assert.equal(activated.length, this.#generation, this.#project);
    const audit = await all<AuditJson>(farm, `/v1/orgs/default/audit?project=${this.#project}`);
    for (const [action, times] of this.#done) {
      const rows = audit.filter((row) => row.action === action && row.ok && row.actor.startsWith("token:"));
      assert.equal(rows.length, times, `${this.#project}: ${action}`);
    }
  }
}

/** No token but those that somebody was given. */
async function checkTokens({ farm }: World, clients: readonly Client[]): Promise<void> {
  const { token_id: own } = await farm.json<WhoamiJson>("/v1/whoami");
  const there = await all<TokenJson>(farm, "/v1/orgs/default/tokens");
  const given = clients.flatMap(({ tokens }) => tokens);
  const found = there.map(({ id }) => id).filter((id) => id !== own);
  assert.deepEqual(found.sort(), given.sort());
}

async function all<T>(farm: TestFarm, path: string): Promise<T[]> {
  const items: T[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const from: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page: Page<T> = await farm.json(`${path}${path.includes("?") ? "&" : "?"}limit=200${from}`);
    items.push(...page.items);
    cursor = page.next_cursor;
  }
  return items;
}
