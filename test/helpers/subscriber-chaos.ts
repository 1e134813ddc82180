import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type CloudEvent, connect } from "granary";
import { appArchive } from "./app-archive.ts";
import { eventually, natsPid, type TestFarm } from "./farm.ts";
import { projectUrl, publish, publishReady, send } from "./farm-requests.ts";
import { random } from "./random.ts";
import { LedgerServer } from "./remote-ledger.ts";
import type { WebhookReceiver } from "./webhook-receiver.ts";

const MAIN = resolve(import.meta.dirname, "subscriber-chaos-main.js");
const PROJECTS = ["app", "bot", "site"];
const REPLICAS = ["a", "b", "c"];
/** Exits of a replica that were asked for. */
const WANTED = new Set<number | string | null>([5, "SIGKILL"]);

export interface ChaosCounts {
  events: number;
  kills: Record<string, number>;
}

/**
 * Three replicas of a group and a webhook follow three projects that are published, previewed, activated and rolled back, while replicas,
 * the farm and its nats-server are killed and stopped at random. At the end every event has had its effect once and in order, the
 * webhook has every event in order, nobody ended with an error, and replicas that are asked to end do. @throws AssertionError
 */
export async function subscriberChaos(options: {
  seed: number;
  seconds: number;
  receiver: WebhookReceiver;
  start(): Promise<TestFarm>;
}): Promise<ChaosCounts> {
  const world = new World(await options.start(), await LedgerServer.start(), options);
  try {
    return await world.run();
  } finally {
    world.end();
  }
}

class World {
  readonly #random: () => number;
  readonly #ledger: LedgerServer;
  readonly #options: Parameters<typeof subscriberChaos>[0];
  readonly #kills: Record<string, number> = {};
  readonly #replicas = new Map<string, ChildProcess>();
  readonly #failed: string[] = [];
  #farm: TestFarm;
  #over = false;

  constructor(farm: TestFarm, ledger: LedgerServer, options: Parameters<typeof subscriberChaos>[0]) {
    this.#farm = farm;
    this.#ledger = ledger;
    this.#options = options;
    this.#random = random(options.seed);
  }

  async run(): Promise<ChaosCounts> {
    const { receiver, seconds } = this.#options;
    const json = { url: receiver.url };
    const hook = await send<{ secret: string }>(this.#farm, "/v1/orgs/default/webhooks", { json });
    assert.equal(hook.status, 201, hook.text);
    receiver.secret = hook.body.secret;
    for (const name of PROJECTS)
      for (const text of ["1", "2", "3"])
        await publishReady(this.#farm, name, appArchive({ a: name + text }));
    for (const name of REPLICAS) this.#startReplica(name);
    const untilMs = Date.now() + seconds * 1_000;
    const acting = this.#act(untilMs);
    while (Date.now() < untilMs) {
      await sleep(2_000 + 3_000 * this.#random());
      await this.#disturb();
    }
    await acting;
    return this.#check();
  }

  /** Whatever happened, no process stays behind. */
  end(): void {
    this.#over = true;
    for (const child of this.#replicas.values()) child.kill("SIGKILL");
    this.#ledger.stop();
    this.#farm.process.kill("SIGKILL");
  }

  #pick<T>(of: readonly T[]): T {
    return of[Math.floor(this.#random() * of.length)] as T;
  }

  #startReplica(name: string): void {
    const { url, token } = this.#farm;
    const child = spawn(process.execPath, [MAIN, url, token, this.#ledger.url, "chaos"], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let errors = "";
    child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    child.once("exit", (code, signal) => {
      if (this.#over) return;
      if (!WANTED.has(signal ?? code)) this.#failed.push(`${name}: ${signal ?? code} ${errors}`);
      this.#startReplica(name);
    });
    this.#replicas.set(name, child);
  }

  async #act(untilMs: number): Promise<void> {
    for (let n = 0; Date.now() < untilMs; n++) {
      const name = this.#pick(PROJECTS);
      const preview = `pr-${n % 2}`;
      const content = appArchive({ a: `${n}` });
      const acts = [
        () => publish(this.#farm, name, content),
        () => publish(this.#farm, name, content, { query: { preview } }),
        () => send(this.#farm, `${projectUrl(name)}/previews/${preview}`, { method: "DELETE" }),
        () => send(this.#farm, `${projectUrl(name)}/rollbacks`, { json: { reason: "night" } }),
        ...Array.from({ length: 6 }, (_, i) => () => {
          const json = { version: `v${1 + (i % 3)}` };
          return send(this.#farm, `${projectUrl(name)}/activations`, { json });
        }),
      ];
      // A farm that is being killed answers nobody.
      await this.#pick(acts)().catch(() => undefined);
      await sleep(100 * this.#random());
    }
  }

  async #disturb(): Promise<void> {
    const replica = this.#pick([...this.#replicas.values()]);
    const ways: Record<string, () => Promise<void> | boolean> = {
      "replica killed": () => replica.kill("SIGKILL"),
      "replica stopped": () => freeze(replica.pid, 5_000),
      "farm stopped": () => freeze(this.#farm.pid, 3_000 * this.#random()),
      "nats-server killed": () => process.kill(natsPid(this.#farm.data), "SIGKILL"),
      "farm killed": async () => {
        await this.#farm.kill();
        this.#farm = await this.#options.start();
      },
    };
    const way = this.#pick(Object.keys(ways));
    this.#kills[way] = (this.#kills[way] ?? 0) + 1;
    await ways[way]?.();
  }

  async #check(): Promise<ChaosCounts> {
    const { url, token } = this.#farm;
    const all: CloudEvent[] = [];
    for await (const event of connect({ url, token }).events({ follow: false })) all.push(event);
    const { receiver } = this.#options;
    for (const name of PROJECTS) {
      const source = `/orgs/default/projects/${name}`;
      const ids = all.filter((event) => event.source === source).map((event) => event.id);
      const told = () => receiver.got.flatMap((event) => (event.source === source ? [event.id] : []));
      const done = () => this.#ledger.effects(source).length >= ids.length && told().length >= ids.length;
      await eventually(() => done() || undefined, 120_000, `the ${ids.length} events of ${name}`);
      assert.deepEqual(this.#ledger.effects(source), ids);
      assert.deepEqual(told(), ids);
    }
    assert.deepEqual(this.#failed, []);
    this.#over = true;
    for (const child of this.#replicas.values()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exit = once(child, "exit");
      child.kill("SIGTERM");
      assert.deepEqual(await Promise.race([exit, sleep(20_000, "it does not end", { ref: false })]), [
        0,
        null,
      ]);
    }
    assert.equal(await this.#farm.stop(), 0);
    return { events: all.length, kills: this.#kills };
  }
}

async function freeze(pid: number | undefined, ms: number): Promise<void> {
  if (pid === undefined) return;
  process.kill(pid, "SIGSTOP");
  await sleep(ms);
  process.kill(pid, "SIGCONT");
}
