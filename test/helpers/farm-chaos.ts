import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { digestBytes, digestOf } from "../../proto/digest.ts";
import type { PreviewJson, Problem, PublishJson, ReleaseJson } from "../../proto/http.ts";
import type { FsckJson, GcJson } from "../../proto/http-store.ts";
import { appArchive } from "./app-archive.ts";
import type { TestFarm } from "./farm.ts";
import { type Answer, projectUrl, publish, type SendOptions, send } from "./farm-requests.ts";
import { commitUpload, listFiles, missingContent, plan, putStream } from "./listing.ts";
import { random } from "./random.ts";

const ORGS = ["default", "other"];
const PROJECTS = ["app", "site"];
const PREVIEWS = ["pr-1", "pr-2", "pr-3"];
/** Few paths with few contents each: most of what is retired comes back, mostly while it is being collected. */
const PATHS = ["a.txt", "b.txt", "lib/c.txt", "lib/d.txt", "node_modules/x/e.js", "node_modules/y/f.js"];
const CONTENTS = 4;
const CONTENT_BYTES = 6_000;
const ACTORS = 6;
/** What a farm that is being killed, or that has something else to do, answers. */
const BUSY = new Set([409, 429, 503, 504]);

export interface ChaosCounts {
  publishes: number;
  collections: number;
  deletedBlobs: number;
  retired: number;
  kills: number;
  pulled: number;
}

/**
 * Publishes, previews, promotions, retirements, rollbacks and collections of garbage without an undo period at once, while the farm
 * is killed now and then; at the end everything that a release or preview names is pulled and hashed. @throws AssertionError
 */
export async function chaos(options: {
  seed: number;
  seconds: number;
  /** Mean time between two kills; undefined: none. */
  killEveryMs: number | undefined;
  start(): Promise<TestFarm>;
}): Promise<ChaosCounts> {
  const world = new World(options.seed, await options.start());
  const untilMs = Date.now() + options.seconds * 1_000;
  const actors = Array.from({ length: ACTORS }, () => world.act(untilMs));
  const collecting = world.collectUntil(untilMs);
  const all = Promise.all([...actors, collecting]);
  all.catch(() => undefined);
  if (options.killEveryMs !== undefined)
    for (;;) {
      const waitMs = options.killEveryMs * (0.5 + world.random());
      if (Date.now() + waitMs > untilMs) break;
      await Promise.race([sleep(waitMs), all]);
      await world.restart(options.start);
    }
  await all;
  await world.checkEverything();
  return world.counts;
}

class World {
  readonly random: () => number;
  readonly counts: ChaosCounts = {
    publishes: 0,
    collections: 0,
    deletedBlobs: 0,
    retired: 0,
    kills: 0,
    pulled: 0,
  };
  farm: TestFarm;

  constructor(seed: number, farm: TestFarm) {
    this.random = random(seed);
    this.farm = farm;
  }

  async restart(start: () => Promise<TestFarm>): Promise<void> {
    await this.farm.kill();
    this.counts.kills += 1;
    this.farm = await start();
  }

  async act(untilMs: number): Promise<void> {
    while (Date.now() < untilMs) await this.#tolerant(() => this.#oneAct());
  }

  async collectUntil(untilMs: number): Promise<void> {
    while (Date.now() < untilMs) {
      await this.#tolerant(async () => {
        const answer = await this.#send<GcJson>("/v1/store:gc?grace=0s", { method: "POST" });
        if (answer.status !== 200) return;
        this.counts.collections += 1;
        this.counts.deletedBlobs += answer.body.blobs;
      });
      await sleep(20 * this.random());
    }
  }

  /** Everything that is kept can be read, and nothing is damaged. */
  async checkEverything(): Promise<void> {
    const { farm } = this;
    for (const org of ORGS)
      for (const project of PROJECTS) {
        const releases = await this.#list<ReleaseJson>(org, project, "releases");
        for (const release of releases)
          if (release.state !== "retired") await this.#check(org, project, release.version, release);
        const previews = await this.#list<PreviewJson>(org, project, "previews");
        for (const preview of previews) await this.#check(org, project, `preview-${preview.name}`, preview);
      }
    const collected = await farm.json<GcJson>("/v1/store:gc?grace=0s", { method: "POST" });
    assert.ok(collected.blobs >= 0);
    const fsck = await farm.json<FsckJson>("/v1/store:fsck", { method: "POST" });
    assert.deepEqual([fsck.corrupt, fsck.missing], [0, 0], JSON.stringify(fsck));
  }

  /** Newest first. */
  async #list<T>(org: string, project: string, what: string): Promise<T[]> {
    const items: T[] = [];
    for (let cursor = ""; ; ) {
      const path = `${projectUrl(project, org)}/${what}?limit=200${cursor}`;
      const answer = await this.#send<{ items: T[]; next_cursor: string | null }>(path, {});
      if (answer.status === 404) return items;
      assert.equal(answer.status, 200, answer.text);
      items.push(...answer.body.items);
      if (answer.body.next_cursor === null) return items;
      cursor = `&cursor=${encodeURIComponent(answer.body.next_cursor)}`;
    }
  }

  async #check(org: string, project: string, tag: string, record: ReleaseJson | PreviewJson): Promise<void> {
    const { farm } = this;
    const at = `/v2/${org}/${project}`;
    const manifest = await send<{ config: { digest: string }; layers: { digest: string }[] }>(
      farm,
      `${at}/manifests/${tag}`,
    );
    assert.equal(manifest.status, 200, `${at}:${tag}: ${manifest.text}`);
    assert.equal(digestOf(Buffer.from(manifest.text)), record.image_digest);
    for (const { digest } of [manifest.body.config, ...manifest.body.layers]) {
      const blob = await farm.fetch(`${at}/blobs/${digest}`);
      assert.equal(blob.status, 200, `${at}:${tag} lacks ${digest}`);
      const bytes = Buffer.from(await blob.arrayBuffer());
      assert.equal(`sha256:${createHash("sha256").update(bytes).digest("hex")}`, digest);
      this.counts.pulled += 1;
    }
  }

  async #oneAct(): Promise<void> {
    const org = this.#pick(ORGS);
    const project = this.#pick(PROJECTS);
    const act = this.random();
    if (act < 0.25) await this.#publishArchive(org, project);
    else if (act < 0.5) await this.#publishListing(org, project);
    else if (act < 0.6) await this.#promote(org, project);
    else if (act < 0.7) await this.#removePreview(org, project);
    else if (act < 0.92) await this.#retire(org, project);
    else if (act < 0.97) await this.#post(`${projectUrl(project, org)}/rollback`, {});
    else await this.#post(`${projectUrl(project, org)}:unhold`, {});
  }

  #files(): Record<string, string> {
    const files: Record<string, string> = {};
    for (const path of PATHS)
      if (files["a.txt"] === undefined || this.random() < 0.7) {
        const which = Math.floor(this.random() * CONTENTS);
        files[path] = `${path.slice(-4)} ${which}\n`.repeat(CONTENT_BYTES / 8);
      }
    return files;
  }

  /** A third of the publishes are for previews. */
  #channel(): { preview?: string; ttl?: string } {
    return this.random() < 0.33
      ? { preview: this.#pick(PREVIEWS), ttl: this.random() < 0.5 ? "1m" : "72h" }
      : {};
  }

  async #publishArchive(org: string, project: string): Promise<void> {
    const archive = appArchive(this.#files());
    const digest = digestBytes(digestOf(archive)).toString("base64");
    const announced: Record<string, string> =
      this.random() < 0.5 ? { "content-digest": `sha-256=:${digest}:` } : {};
    const forced: Record<string, string> = this.random() < 0.2 ? { force_new: "true" } : {};
    const answer = await publish(this.farm, project, archive, {
      org,
      query: { ...this.#channel(), ...forced },
      headers: announced,
    });
    this.#expect(answer, [200, 201, 202]);
    if (answer.status === 202) await this.#ends(answer.body);
  }

  async #publishListing(org: string, project: string): Promise<void> {
    const files = listFiles(this.#files());
    const planned = await plan(this.farm, project, files.listing, { org });
    this.#expect(planned, [200]);
    if (planned.status !== 200) return;
    const { session = "", missing_bytes } = planned.body;
    if (missing_bytes > 0) {
      const sent = await putStream(this.farm, project, session, missingContent(files, planned.body), { org });
      this.#expect(sent, [200]);
    }
    // What the plan called present is only held by the session's file meanwhile.
    if (this.random() < 0.5) await sleep(500 * this.random());
    const committed = await commitUpload(this.farm, project, session, {
      org,
      body: { ...this.#channel() },
      waitSeconds: 0,
    });
    this.#expect(committed, [200, 201, 202]);
    if (committed.status === 202) await this.#ends(committed.body);
  }

  /** Nothing that was accepted fails: what was called present stays so. */
  async #ends({ publish_id }: PublishJson): Promise<void> {
    this.counts.publishes += 1;
    const answer = await send<PublishJson>(this.farm, `/v1/publishes/${publish_id}?wait=60`);
    if (answer.status !== 200) return this.#expect(answer, []);
    const { state } = answer.body;
    assert.ok(["ready", "cancelled", "overtaken"].includes(state), answer.text);
  }

  async #promote(org: string, project: string): Promise<void> {
    await this.#post(`${projectUrl(project, org)}/previews/${this.#pick(PREVIEWS)}:promote`, {});
  }

  async #removePreview(org: string, project: string): Promise<void> {
    const path = `${projectUrl(project, org)}/previews/${this.#pick(PREVIEWS)}`;
    this.#expect(await this.#send(path, { method: "DELETE" }), [204, 404]);
  }

  async #retire(org: string, project: string): Promise<void> {
    const list = await this.#list<ReleaseJson>(org, project, "releases");
    const kept = list.filter(({ state }) => state !== "retired" && state !== "active");
    // A few stay, so that there is something to lose.
    if (kept.length < 6) return;
    const { version } = this.#pick(kept);
    const answer = await this.#post(`${projectUrl(project, org)}/releases/${version}:retire`, {});
    if (answer.status === 200) this.counts.retired += 1;
  }

  async #post(path: string, json: unknown): Promise<Answer<unknown>> {
    const answer = await this.#send(path, { json });
    this.#expect(answer, [200, 201, 404]);
    return answer;
  }

  #send<T>(path: string, options: SendOptions): Promise<Answer<T>> {
    return send<T>(this.farm, path, options);
  }

  #expect(answer: Answer<unknown>, statuses: readonly number[]): void {
    if (statuses.includes(answer.status)) return;
    const { code } = (answer.body ?? {}) as Partial<Problem>;
    assert.ok(BUSY.has(answer.status) || code === "SESSION_UNKNOWN", `${answer.status} ${answer.text}`);
  }

  #pick<T>(items: readonly T[]): T {
    const item = items[Math.floor(this.random() * items.length)];
    assert.ok(item !== undefined);
    return item;
  }

  /** A farm that is killed breaks connections off. */
  async #tolerant(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      await sleep(100);
    }
  }
}
