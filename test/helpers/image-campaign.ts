import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type Digest, digestFromHex, digestOf } from "../../proto/digest.ts";
import { composeImage, DEFAULT_PLATFORM, DEFAULT_USER } from "../../proto/image.ts";
import { layerPieces } from "../../proto/layers.ts";
import { distinctBlobs } from "../../proto/listing.ts";
import { RECIPE_VERSION, splitTree, type TreePart } from "../../proto/split-tree.ts";
import { comparePaths, encodeTree, type TreeEntry, treeDigest } from "../../proto/tree.ts";
import type { TestFarm } from "./farm.ts";
import { publishReady, send } from "./farm-requests.ts";
import { commitUpload, sendListed } from "./listing.ts";
import { contentOf } from "./store-fixture.ts";
import { file, symlink, tgz } from "./tar-builder.ts";

const PROJECTS = 3;
const FOLDERS = [
  "node_modules/p1",
  "node_modules/p2/lib",
  "node_modules/@s/p3",
  "src",
  "src/deep/er",
  "é",
  "b.c",
];
const NAMES = ["index.js", "n".repeat(60), "ü", "a b", "x.map"];

/** What a project's tree is at the moment; one that grows, shrinks and changes. */
type Table = Map<string, TreeEntry>;

interface Tree {
  readonly project: string;
  readonly entries: readonly TreeEntry[];
  readonly contents: ReadonlyMap<Digest, Buffer>;
  readonly commit: string;
}

/**
 * Publishes trees that change by a little, or by much, each time: as archive or by listing, in several projects that take each other's trees
 * over, with collections of garbage in between. Each image has to be the one that follows from its files alone, whatever the farm and
 * its threads remember of the publishes before.
 */
export async function publishEvolvingTrees(
  farm: TestFarm,
  { publishes, random }: { publishes: number; random: () => number },
): Promise<void> {
  const pick = (below: number): number => Math.floor(random() * below);
  const contents = new Map<Digest, Buffer>();
  const tables: Table[] = Array.from({ length: PROJECTS }, () => new Map());
  for (let number = 0; number < publishes; number++) {
    const project = pick(PROJECTS);
    const table = pick(15) === 0 ? new Map(tables[pick(PROJECTS)]) : (tables[project] ?? new Map());
    tables[project] = table;
    change(table, contents, pick);
    const entries = [...table.values()].sort((a, b) => comparePaths(a.path, b.path));
    const asArchive = pick(2) === 0;
    const publish = asArchive ? publishArchive : publishListing;
    // A publish of a commit whose image is known would be the same release.
    const commit = (0x1000000 + number).toString(16);
    const image = await publish(farm, { project: `evolving-${project}`, entries, contents, commit });
    assert.equal(
      image,
      imageOf(entries, contents),
      `publish ${number}, ${asArchive ? "archive" : "listing"}`,
    );
    if (pick(40) === 0) await send(farm, "/v1/store:gc", { json: {} });
  }
}

function change(table: Table, contents: Map<Digest, Buffer>, pick: (below: number) => number): void {
  const size = (): number => [pick(4_000), pick(4_000), pick(60_000), 0, pick(600_000)][pick(5)] ?? 0;
  const fresh = (path: string): TreeEntry => {
    const known = [...contents.keys()];
    const reused = pick(6) === 0 ? known[pick(known.length)] : undefined;
    const bytes = contentOf(pick(1e9), size());
    const digest = reused ?? digestOf(bytes);
    if (reused === undefined) contents.set(digest, bytes);
    const held = contents.get(digest) ?? bytes;
    return { type: "file", path, executable: pick(6) === 0, digest, size: held.byteLength };
  };
  for (let edits = table.size < 60 ? 40 : pick(pick(4) === 0 ? 40 : 5); edits >= 0; edits--) {
    const paths = [...table.keys()];
    const old = paths[pick(paths.length)];
    const entry = old === undefined ? undefined : table.get(old);
    const path = `${FOLDERS[pick(FOLDERS.length)]}/${pick(40)}${NAMES[pick(NAMES.length)]}`;
    const what = pick(10);
    if (what < 2 && old !== undefined && paths.length > 20) table.delete(old);
    else if (what < 3 && entry?.type === "file")
      table.set(entry.path, { ...entry, executable: !entry.executable });
    else if (what < 6 && entry?.type === "file") table.set(entry.path, fresh(entry.path));
    else if (what < 7) table.set(path, { type: "symlink", path, target: "." });
    else table.set(path, fresh(path));
  }
}

async function publishArchive(farm: TestFarm, { project, entries, contents, commit }: Tree): Promise<string> {
  const parts = entries.flatMap((entry) => {
    if (entry.type === "file")
      return [
        file(entry.path, contents.get(entry.digest), { mode: entry.executable ? "0000755\0" : "0000644\0" }),
      ];
    return entry.type === "symlink" ? [symlink(entry.path, entry.target)] : [];
  });
  const query = { commit, strip: "0" };
  return (await publishReady(farm, project, tgz(...parts), { query })).image_digest;
}

async function publishListing(farm: TestFarm, { project, entries, contents, commit }: Tree): Promise<string> {
  const listing = encodeTree(entries);
  const blobs = distinctBlobs(entries).map(({ digest }) => contents.get(digest) ?? Buffer.alloc(0));
  const listed = { entries, listing, tree: digestOf(listing), blobs };
  const { session } = await sendListed(farm, project, listed);
  const committed = await commitUpload(farm, project, session, { body: { commit } });
  assert.equal(committed.body.state, "ready", committed.text);
  return committed.body.release?.image_digest ?? "";
}

function imageOf(entries: readonly TreeEntry[], contents: ReadonlyMap<Digest, Buffer>): Digest {
  const layers = splitTree(entries, RECIPE_VERSION).map((part) => layerOf(part, contents));
  const recipe = {
    recipe_version: RECIPE_VERSION,
    tree: treeDigest(entries),
    platform: DEFAULT_PLATFORM,
    user: DEFAULT_USER,
  };
  return composeImage(recipe, layers).manifest.digest;
}

function layerOf({ entries, folder, slice }: TreePart, contents: ReadonlyMap<Digest, Buffer>) {
  const sha256 = createHash("sha256");
  let size = 0;
  for (const piece of layerPieces(entries)) {
    const bytes = piece.kind === "bytes" ? piece.bytes : (contents.get(piece.digest) ?? Buffer.alloc(0));
    sha256.update(bytes);
    size += bytes.byteLength;
  }
  const digest = digestFromHex(sha256.digest("hex"));
  return { digest, size, folder, ...(slice === undefined ? {} : { slice }) };
}
