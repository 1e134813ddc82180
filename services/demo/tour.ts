import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ReleaseJson } from "../../proto/http.ts";
import type { DemoFarm } from "./demo-farm.ts";
import { packPair } from "./package-pair.ts";
import { pullImage } from "./pull-image.ts";
import { readEvents } from "./read-events.ts";

const EXAMPLES = fileURLToPath(new URL("../../../examples/", import.meta.url));
const PAIR = { name: "date-fns", versions: ["4.0.0", "4.1.0"] } as const;

/** What a part of the demo has. */
export interface Stage {
  readonly farm: DemoFarm;
  readonly folder: string;
  /** Tells of a step that has ended. */
  note(step: string, outcome: string, ms: number): void;
}

/** The tour: each step is a CLI call (or a registry client) and ends in one note. A step that fails ends the demo. */
export async function runTour({ farm, folder, note }: Stage): Promise<{ events: number; image_ref: string }> {
  const bot = join(folder, "support-bot");
  cpSync(join(EXAMPLES, "support-bot"), bot, { recursive: true });
  const publish = async (
    what: string,
    args: readonly string[],
  ): Promise<ReleaseJson & { tookMs: number }> => {
    const release = await farm.runJson<ReleaseJson>(["publish", ...args]);
    if (release.existing !== true && !release.activated)
      throw new Error(`${what}: ${release.version} did not go live`);
    note(what, describe(release), release.tookMs);
    return release;
  };

  const first = await publish("publish a Python app", [
    bot,
    "--project",
    "default/support-bot",
    "--commit",
    "1111111",
  ]);
  await publish("the same again", [bot, "--project", "default/support-bot", "--commit", "1111111"]);
  const source = join(bot, "app.py");
  writeFileSync(source, `${readFileSync(source, "utf8")}\n# changed by the demo\n`);
  const second = await publish("publish one changed file", [
    bot,
    "--project",
    "default/support-bot",
    "--commit",
    "2222222",
  ]);
  await publish("publish a Node app", [
    join(EXAMPLES, "hello-node"),
    "--project",
    "default/hello-node",
    "--commit",
    "3333333",
  ]);
  await publishPair({ publish, folder, note });

  const verified = await farm.run(["verify", bot, "--image-ref", second.image_ref]);
  note("verify offline", "same digest, recomputed from the files", verified.tookMs);
  const pulled = await pullImage({ farm, imageRef: second.image_ref, folder });
  note(`pull the image with ${pulled.client}`, pulled.outcome, pulled.ms);
  const back = await farm.runJson<{ from: string; to: string }>([
    "rollback",
    "default/support-bot",
    "--reason",
    "demo",
  ]);
  note("roll back", `${back.from} -> ${back.to}; later publishes are held`, back.tookMs);
  const forward = await farm.runJson<{ from: string; to: string }>([
    "activate",
    `default/support-bot@${second.version}`,
  ]);
  note("activate the newer one", `${forward.from} -> ${forward.to}`, forward.tookMs);
  const events = await readEvents(farm);
  const activations = events.list.filter(({ type }) => type.includes("release.activated")).length;
  note(
    "replay the event stream",
    `${events.list.length} events, ${activations} activations, none missing`,
    events.tookMs,
  );
  return { events: events.list.length, image_ref: first.image_ref };
}

/** Two consecutive versions of a real package: what a CI fleet publishes all day. */
async function publishPair(options: {
  publish: (what: string, args: readonly string[]) => Promise<unknown>;
  folder: string;
  note: Stage["note"];
}): Promise<void> {
  const archives = await packPair({ ...PAIR, folder: options.folder });
  if (archives === undefined) {
    options.note(`publish ${PAIR.name}`, "skipped: npm does not reach a registry here", 0);
    return;
  }
  for (const [index, archive] of archives.entries()) {
    const args = [
      archive,
      "--project",
      `default/${PAIR.name}`,
      "--commit",
      `${index + 4}`.repeat(7),
      "--strip",
      "1",
    ];
    await options.publish(`publish ${PAIR.name} ${PAIR.versions[index] ?? ""}`, args);
  }
}

function describe(release: ReleaseJson): string {
  if (release.existing === true) return `already there: ${release.version}, nothing stored or moved`;
  const { version, stats } = release;
  const files = stats.new_blobs === 1 ? "file" : "files";
  return `${version} live: ${stats.new_blobs} new ${files} (${size(stats.new_blob_bytes)}), ${stats.reused_blobs} reused`;
}

/** As the command line writes sizes. */
function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const [value, unit] = bytes < 1_000_000 ? [bytes / 1000, "KB"] : [bytes / 1_000_000, "MB"];
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}
