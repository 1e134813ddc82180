import { writeFileSync } from "node:fs";
import path from "node:path";
import { ARCHIVE_LIMITS } from "../../../proto/limits.ts";
import { computeImage } from "../../../services/cli/tree/compute-image.ts";
import { walkDirectory } from "../../../services/cli/tree/walk-directory.ts";
import { type CliResult, runCli } from "../../helpers/cli.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";
import {
  type FakeFarm,
  type FakeRoute,
  fakePublish,
  fakeRelease,
  sendJson,
  startFakeFarm,
  uploadRoutes,
} from "./fake-farm.ts";

export const BOT = "/v1/orgs/acme/projects/bot";
export const POST = `POST ${BOT}/publishes`;
export const COMMIT = `POST ${BOT}/uploads/upl_1:commit`;
export const PUT = `PUT ${BOT}/uploads/upl_1`;
export const GET = "GET /v1/publishes/pub_1";
const CURRENT = `GET ${BOT}/current`;
export const LIVE = { ...fakeRelease({ version: "v41" }), generation: 7, held: null, event_seq: "1-0" };

export interface PublishOptions {
  readonly directory?: string;
  readonly release?: ReturnType<typeof fakeRelease>;
  readonly routes?: Readonly<Record<string, FakeRoute>>;
  readonly unread?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: Uint8Array;
  readonly commit?: string | undefined;
}

export async function publish(
  t: { after(run: () => Promise<void>): void },
  options: PublishOptions,
): Promise<{ result: CliResult; farm: FakeFarm }> {
  const directory = options.directory ?? app();
  const release =
    options.release ??
    fakeRelease({
      tree:
        directory.includes("granary-test-") && !directory.endsWith(".gz")
          ? await treeOf(directory).catch(() => "")
          : "",
    });
  const farm = await startFakeFarm(routesFor(release, options.routes ?? {}), {
    unread: options.unread ?? [],
  });
  t.after(() => farm.close());
  const commit = "commit" in options ? [] : ["--commit", "abcdef1"];
  const result = await runCli(["publish", directory, "-p", "acme/bot", ...commit, ...(options.args ?? [])], {
    env: { ...farm.env, ...options.env },
    ...(options.stdin === undefined ? {} : { stdin: options.stdin }),
  });
  return { result, farm };
}

export function routesFor(
  release: unknown,
  routes: Readonly<Record<string, FakeRoute>>,
): Readonly<Record<string, FakeRoute>> {
  return {
    ...uploadRoutes(BOT, { current: LIVE }),
    [POST]: ({ response }) => sendJson(response, 202, fakePublish()),
    [GET]: ({ response }) =>
      sendJson(response, 200, fakePublish({ state: "ready", version: "v42", release })),
    [CURRENT]: ({ response }) => sendJson(response, 200, LIVE),
    ...routes,
  };
}

export function archiveFile(bytes: Uint8Array): string {
  const file = path.join(tempFolder(), "bot.tar.gz");
  writeFileSync(file, bytes);
  return file;
}

export function app(): string {
  const directory = tempFolder();
  writeFileSync(path.join(directory, "app.py"), "app = 1\n");
  writeFileSync(path.join(directory, "karta.toml"), 'entry_point = "app:app"\n');
  return directory;
}

export async function treeOf(directory: string): Promise<string> {
  const walked = walkDirectory({ directory, limits: ARCHIVE_LIMITS, gitignore: false });
  return (await computeImage(walked, new AbortController().signal)).tree;
}

export function incompressible(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = 1;
  for (let at = 0; at < size; at += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes.writeInt32LE(state, at);
  }
  return bytes;
}
