import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { digestOf } from "../../proto/digest.ts";
import type { MaterializedJson, ReleaseJson } from "../../proto/http.ts";
import type { FsckJson, GcJson, StoreWhyJson } from "../../proto/http-store.ts";
import { rebuildIndex } from "../../store/rebuild-index.ts";
import { appArchive } from "./app-archive.ts";
import { startTestFarm, type TestFarm } from "./farm.ts";
import { projectUrl, publish, publishReady, send } from "./farm-requests.ts";
import { commitUpload, listFiles, sendListed } from "./listing.ts";
import { random as randomOf } from "./random.ts";
import { flipBit } from "./store-disk.ts";
import { contentOf } from "./store-fixture.ts";

const PROJECT = "app";
/** A supervisor would start a farm again; one that needs it more often is in a loop. */
const STARTS = 3;
/** Index and content are not damaged in one round: an index that is made anew cannot read behind a broken record. */
const AREAS = ["packs", "big", "roots", "index", "inbox"] as const;
type Area = (typeof AREAS)[number];

const BIG = [0, 1].map((n) => contentOf(`big ${n}`, 4_300_000).toString("hex"));

export interface DamageCounts {
  readonly flips: Record<string, number>;
  readonly lost: number;
  readonly rebuilt: number;
  readonly pulled: number;
}

/**
 * Rounds of publishes in both forms, roots and collections, a kill in the middle of them, bits that flip while nothing runs, a start and a
 * repair. After each: nothing that is served is wrong, everything is served but what was flipped, every flip in content was named, and
 * publishing the same again heals all. @throws AssertionError
 */
export async function damageFarm(options: {
  data: string;
  seed: number;
  rounds: number;
  /** Some releases have a file of more than 8 MiB: most of what a round costs. */
  big: boolean;
}): Promise<DamageCounts> {
  const world = new DamagedFarm(options, randomOf(options.seed));
  await world.start();
  for (let round = 0; round < options.rounds; round++) await world.round(round);
  assert.equal(await world.farm.stop(), 0);
  return world.counts;
}

class DamagedFarm {
  readonly #data: string;
  readonly #hasBig: boolean;
  readonly #random: () => number;
  readonly counts = { flips: {} as Record<string, number>, lost: 0, rebuilt: 0, pulled: 0 };
  #farm: TestFarm | undefined;

  constructor({ data, big }: { data: string; big: boolean }, random: () => number) {
    this.#data = data;
    this.#hasBig = big;
    this.#random = random;
  }

  get farm(): TestFarm {
    assert.ok(this.#farm !== undefined);
    return this.#farm;
  }

  async round(round: number): Promise<void> {
    await this.#work(round);
    await Promise.all([this.#workOn(round), sleep(300 * this.#random()).then(() => this.farm.kill())]);
    const areas = this.#hasBig ? AREAS : AREAS.filter((name) => name !== "big");
    const area = areas[Math.floor(this.#random() * areas.length)] ?? "packs";
    const flipped = this.#flip(area, area === "index" ? 1 : 1 + Math.floor(4 * this.#random()));
    await this.start();
    const found = await this.#check();
    const what = `round ${round}: ${area} at ${flipped.join(", ")}: ${JSON.stringify(found)}`;
    const lost = found.repaired?.lost ?? 0;
    this.counts.lost += lost;
    assert.ok(lost <= (area === "packs" || area === "big" ? flipped.length : 0), what);
    if (area === "big" && flipped.length > 0) assert.ok(lost > 0, what);
    if (area === "roots" && flipped.length > 0) assert.ok(found.broken_roots > 0, what);
    await this.#serves({ all: lost === 0, what });
    await this.#heal(round, what);
  }

  /** As a supervisor does, and the operator whom a refusal tells what to run. */
  async start(): Promise<void> {
    const errors: string[] = [];
    for (let attempt = 0; attempt < STARTS; attempt++) {
      try {
        this.#farm = await startTestFarm({ data: this.#data, args: ["--threads", "2"] });
        return;
      } catch (error) {
        errors.push(String(error).slice(0, 2_000));
        if (String(error).includes("rebuild-index")) await this.#rebuild();
      }
    }
    assert.fail(`a crash loop: ${errors.join("\n")}`);
  }

  /** What a round brings, acknowledged; some of it is that of every round. */
  #files(round: number): Record<string, string> {
    const text = (name: string, size: number) => `${name} `.repeat(Math.ceil(size / (name.length + 1)));
    return {
      "common.txt": text("common", 30_000),
      [`lib/${round % 3}.txt`]: text(`shared ${round % 3}`, 9_000),
      "own.txt": text(`own ${round}`, 4_000),
      ...(this.#hasBig && round % 3 === 0 && { "big.bin": BIG[round % 2] ?? "" }),
    };
  }

  async #work(round: number): Promise<void> {
    const files = this.#files(round);
    await publishReady(this.farm, PROJECT, appArchive(files), { query: { force_new: "true" } });
    const listed = listFiles({ ...files, "own.txt": `listed ${round}` });
    const { session } = await sendListed(this.farm, PROJECT, listed);
    const committed = await commitUpload(this.farm, PROJECT, session);
    assert.ok([200, 201].includes(committed.status), committed.text);
    // One that nobody commits stays in the inbox.
    await sendListed(this.farm, PROJECT, listFiles({ "open.txt": `open ${round}` }));
    for (const { version } of await this.#releases())
      await this.farm.json<MaterializedJson>(`${projectUrl(PROJECT)}/releases/${version}:materialize`, {
        method: "POST",
      });
  }

  /** What the kill interrupts; whatever comes of it. */
  async #workOn(round: number): Promise<void> {
    const archive = appArchive({ ...this.#files(round), "late.txt": `late ${round}` });
    await Promise.allSettled([
      publish(this.farm, PROJECT, archive),
      send(this.farm, "/v1/store:gc", { method: "POST" }),
      send(this.farm, "/v1/store:fsck", { method: "POST" }),
    ]);
  }

  /** Flips bits in files of an area; answers where. */
  #flip(area: Area, count: number): string[] {
    const store = join(this.#data, "store");
    const dir = { packs: "packs", big: "big", index: "index", inbox: "inbox", roots: "../roots" }[area];
    const files = fs
      .readdirSync(join(store, dir), { recursive: true, encoding: "utf8" })
      .map((name) => join(store, dir, name))
      .filter((path) => /\.json$|-lock$|\.staging/.test(path) === false)
      .filter((path) => fs.lstatSync(path).isFile() && fs.statSync(path).size > 64);
    // Each file once: two flips of one bit are none.
    const places: string[] = [];
    for (let at = 0; at < count && files.length > 0; at++) {
      const [path = ""] = files.splice(Math.floor(this.#random() * files.length), 1);
      const inode = fs.statSync(path);
      for (let i = files.length - 1; i >= 0; i--)
        if (fs.statSync(files[i] ?? "").ino === inode.ino) files.splice(i, 1);
      const offset = Math.floor(this.#random() * inode.size);
      fs.chmodSync(path, 0o600);
      flipBit(path, offset);
      fs.chmodSync(path, inode.mode & 0o777);
      if (area === "roots") fs.utimesSync(path, 0, 0);
      places.push(`${path.slice(this.#data.length)}:${offset}`);
      this.counts.flips[area] = (this.counts.flips[area] ?? 0) + 1;
    }
    return places;
  }

  /** A check and a repair; behind a new index, when that is what the check asks for. */
  async #check(): Promise<FsckJson> {
    const first = await this.#fsck("");
    if (first === undefined || first.broken_rows > 0) {
      await this.farm.kill();
      await this.#rebuild();
      await this.start();
    }
    const repaired = await this.#fsck("?repair=true");
    assert.ok(repaired !== undefined, "a repaired store can be checked");
    return { ...repaired, ...(first !== undefined && { broken_roots: first.broken_roots }) };
  }

  /** undefined: the index cannot be walked, or killed the farm. */
  async #fsck(query: string): Promise<FsckJson | undefined> {
    const answer = await send<FsckJson>(this.farm, `/v1/store:fsck${query}`, { method: "POST" }).catch(
      () => undefined,
    );
    return answer?.status === 200 ? answer.body : undefined;
  }

  async #rebuild(): Promise<void> {
    this.counts.rebuilt += 1;
    await rebuildIndex(join(this.#data, "store"), { log: () => undefined });
  }

  async #releases(): Promise<ReleaseJson[]> {
    const { items } = await this.farm.json<{ items: ReleaseJson[] }>(
      `${projectUrl(PROJECT)}/releases?limit=200`,
    );
    return items;
  }

  /** Nothing that comes to its end is wrong. */
  async #serves({ all, what }: { all: boolean; what: string }): Promise<void> {
    const at = `/v2/default/${PROJECT}`;
    const seen = new Set<string>();
    for (const { version, image_digest: image } of await this.#releases()) {
      const manifest = await this.#pull(`${at}/manifests/${version}`);
      if (all) assert.ok(manifest !== undefined, `${version} is not served: ${what}`);
      if (manifest === undefined) continue;
      assert.equal(digestOf(manifest), image, what);
      const { config, layers } = JSON.parse(manifest.toString()) as {
        config: { digest: string };
        layers: { digest: string }[];
      };
      for (const { digest } of [config, ...layers]) {
        if (seen.has(digest)) continue;
        seen.add(digest);
        const blob = await this.#pull(`${at}/blobs/${digest}`);
        if (all) assert.ok(blob !== undefined, `${digest} of ${version} is not served: ${what}`);
        if (blob === undefined) continue;
        assert.equal(digestOf(blob), digest, `wrong bytes: ${what}`);
        this.counts.pulled += 1;
      }
    }
  }

  /** undefined when it is refused, or broken off before its end. */
  async #pull(path: string): Promise<Buffer | undefined> {
    try {
      const response = await this.farm.fetch(path);
      const bytes = Buffer.from(await response.arrayBuffer());
      return response.status === 200 ? bytes : undefined;
    } catch {
      return undefined;
    }
  }

  /** Everything that was published is published again; then all is there. */
  async #heal(rounds: number, what: string): Promise<void> {
    for (let round = 0; round <= rounds; round++) {
      const files = this.#files(round);
      for (const again of [
        files,
        { ...files, "own.txt": `listed ${round}` },
        { ...files, "late.txt": `late ${round}` },
      ])
        await publishReady(this.farm, PROJECT, appArchive(again), { query: { force_new: "true" } });
    }
    await this.#serves({ all: true, what });
    const gc = await send<GcJson>(this.farm, "/v1/store:gc", { method: "POST" });
    assert.equal(gc.status, 200, `${gc.text}: ${what}`);
    const left = await this.#fsck("");
    assert.deepEqual([left?.broken_rows, left?.broken_segments, left?.wrong_accounts], [0, 0, 0], what);
    for (const digest of [...(left?.corrupt_digests ?? []), ...(left?.missing_digests ?? [])]) {
      const why = await this.farm.json<StoreWhyJson>(`/v1/store/why/${digest}`);
      assert.ok(
        why.references.every(({ as }) => as === "log"),
        `${JSON.stringify(why)}: only the log of a publish does not come again; ${what}`,
      );
    }
  }
}
