import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { EXIT } from "../../proto/error-spec.ts";
import type { ReleaseJson } from "../../proto/http.ts";
import type { DemoFarm } from "./demo-farm.ts";
import { pullImage } from "./pull-image.ts";
import { type DemoEvent, readEvents } from "./read-events.ts";
import type { Stage } from "./tour.ts";

const PUBLISHERS = 3;
const CHAOS_MS = 20_000;
const CALM_MS = 2_500;
/** What a publisher of CI does when the farm is away. */
const RETRY_MS = 500;

/**
 * Publishers go on while the farm and its nats-server are killed in turn, and ask again with their keys; then every publish has to be there
 * once, in the releases and in the events, and the store has to be whole.
 */
export async function runChaos({ farm, folder, note }: Stage): Promise<void> {
  const startedMs = performance.now();
  const calm = new AbortController();
  const publishers = Array.from({ length: PUBLISHERS }, (_, i) =>
    publishOn(farm, {
      project: `default/chaos-${i + 1}`,
      dir: join(folder, `chaos-${i + 1}`),
      signal: calm.signal,
    }),
  );
  const crashes = { farm: 0, "nats-server": 0 };
  const chaos = async (): Promise<void> => {
    for (let turn = 0; performance.now() - startedMs < CHAOS_MS; turn++) {
      await sleep(CALM_MS);
      const what = turn % 2 === 0 ? "farm" : "nats-server";
      await farm.crash(what);
      crashes[what] += 1;
    }
    calm.abort();
  };
  const [published] = await Promise.all([Promise.all(publishers), chaos()]);
  const count = published.reduce((sum, { commits }) => sum + commits.length, 0);
  const asked = published.reduce((sum, { askedAgain }) => sum + askedAgain, 0);
  note(
    "publish while things are killed",
    `${count} publishes; kill -9 of the farm x${crashes.farm}, of nats-server x${crashes["nats-server"]}; asked again ${asked} times`,
    Math.round(performance.now() - startedMs),
  );

  const lookedMs = performance.now();
  const { list } = await readEvents(farm);
  for (const { project, commits } of published)
    await assertEachOnce(farm, { project, commits, events: list });
  note(
    "look for what is lost, torn or doubled",
    `${count} releases, each once; ${list.length} events, none missing`,
    Math.round(performance.now() - lookedMs),
  );
  const checked = await farm.runJson<{ checked: number }>(["store", "fsck"]);
  note(
    "read the whole store",
    `${checked.checked} blobs and layers, nothing damaged or missing`,
    checked.tookMs,
  );
  const newest = await farm.runJson<ReleaseJson>(["current", `${published[0]?.project}`]);
  const pulled = await pullImage({ farm, imageRef: newest.image_ref, folder: join(folder, "chaos-1") });
  note(`pull the newest image with ${pulled.client}`, pulled.outcome, pulled.ms);
}

interface Published {
  readonly project: string;
  readonly commits: readonly string[];
  readonly askedAgain: number;
}

/** Publishes one commit after the other until it is told to stop; what has begun is brought to its end. */
async function publishOn(
  farm: DemoFarm,
  { project, dir, signal }: { project: string; dir: string; signal: AbortSignal },
): Promise<Published> {
  mkdirSync(dir, { recursive: true });
  const commits: string[] = [];
  let askedAgain = 0;
  while (!signal.aborted) {
    const commit = (0xc0ffee0 + commits.length).toString(16);
    writeFileSync(join(dir, "app.txt"), `${project} at ${commit}\n`);
    const args = ["publish", dir, "--project", project, "--commit", commit, "--idempotency-key", commit];
    while ((await farm.run(args, { codes: [EXIT.ok, EXIT.unavailable] })).code !== EXIT.ok) {
      askedAgain += 1;
      await sleep(RETRY_MS);
    }
    commits.push(commit);
  }
  return { project, commits, askedAgain };
}

/** @throws Error unless the project has exactly these releases, v1 for the first commit and so on, and an event for each */
async function assertEachOnce(
  farm: DemoFarm,
  { project, commits, events }: Pick<Published, "project" | "commits"> & { events: readonly DemoEvent[] },
): Promise<void> {
  const { stdout } = await farm.run(["releases", project, "--limit", "1000", "--json"]);
  const found = (JSON.parse(stdout) as readonly ReleaseJson[]).map(
    ({ version, commit }) => `${version} ${commit}`,
  );
  const expected = commits.map((commit, i) => `v${i + 1} ${commit}`).reverse();
  if (found.join() !== expected.join())
    throw new Error(`${project} has ${found.join(", ")} where ${expected.join(", ")} were published`);
  const told = events
    .filter(
      ({ source, type }) => source.endsWith(`/${project.split("/")[1]}`) && type.includes("release.ready"),
    )
    .map(({ subject }) => subject);
  if (told.join() !== commits.map((_, i) => `v${i + 1}`).join())
    throw new Error(`the events of ${project} tell of ${told.join(", ")}`);
}
