import fs from "node:fs";
import { join } from "node:path";
import { type Digest, digestFromHex } from "../proto/digest.ts";
import { isName } from "../proto/names.ts";
import { parseTree, type TreeEntry } from "../proto/tree.ts";
import { BlobReader } from "./blob-reader.ts";
import { treeFolderDamage } from "./check-tree-folder.ts";
import { ifPresent, type StoreFs } from "./fs.ts";
import { ifIntact } from "./if-intact.ts";
import type { IndexReader } from "./index-db.ts";
import { BLOB_STATE } from "./index-rows.ts";
import { IndexView } from "./index-view.ts";
import type { StorePaths } from "./store-paths.ts";

const ROOT = /^[0-9a-f]{64}$/;

/** Materialized roots below `rootsDir`, as `org/project/<hex of the tree>`, in the order of their names. */
export function rootNames(rootsDir: string): string[] {
  const within = (dir: string): string[] => ifPresent(() => fs.readdirSync(dir)) ?? [];
  const folders = (dir: string): string[] => (isFolder(dir) ? within(dir) : []);
  return folders(rootsDir)
    .filter(isName)
    .flatMap((org) =>
      folders(join(rootsDir, org))
        .filter(isName)
        .flatMap((project) =>
          within(join(rootsDir, org, project))
            .filter((name) => ROOT.test(name))
            .map((name) => `${org}/${project}/${name}`),
        ),
    )
    .sort();
}

function isFolder(path: string): boolean {
  return fs.statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

interface Options {
  readonly rootsDir: string;
  readonly paths: StorePaths;
  readonly fs: StoreFs;
  readonly index: IndexReader;
  /** Told of every part that was read; may sleep, or throw to end the check. */
  readonly read: (bytes: number) => void;
}

/** Reads every file of a materialized root again (ruling 9: verified by scrub). Changes nothing. */
export class RootChecker {
  readonly #options: Options;
  readonly #view: IndexView;
  readonly #reader: BlobReader;

  constructor(options: Options) {
    this.#options = options;
    this.#view = new IndexView(options.index);
    this.#reader = new BlobReader(options);
  }

  close(): void {
    this.#reader.close();
  }

  /**
   * Paths below `rootsDir` that are not as the root's tree has them. One that went or was made anew meanwhile is another's matter. One
   * without a mark may be on its way to that: what it lacks is no finding, what is wrong in it is one.
   * @param name of {@link rootNames}
   */
  check(name: string): string[] {
    const path = join(this.#options.rootsDir, name);
    const id = idOf(path);
    const isMarked = fs.existsSync(`${path}.json`);
    const entries = id === undefined ? undefined : this.#listing(name);
    if (entries === undefined) return [];
    const damaged = damagedPaths(path, { entries, read: this.#options.read });
    if (damaged.length === 0 || idOf(path) !== id) return [];
    const isWhole = isMarked && fs.existsSync(`${path}.json`);
    return damaged
      .map((bad) => join(name, bad))
      .filter((bad) => isWhole || isThere(join(this.#options.rootsDir, bad)));
  }

  /** undefined when the store does not have it, of which its own check tells. */
  #listing(name: string): TreeEntry[] | undefined {
    this.#options.index.refresh();
    const digest: Digest = digestFromHex(name.slice(-64));
    return ifIntact(() => {
      const row = this.#view.blob(digest);
      const isStored = row !== undefined && row.state !== BLOB_STATE.damaged;
      return isStored ? parseTree(this.#reader.read(digest, row)) : undefined;
    });
  }
}

/** As far as the folder was read before it went away. */
function damagedPaths(
  path: string,
  { entries, read }: { entries: readonly TreeEntry[]; read: (bytes: number) => void },
): string[] {
  const damaged: string[] = [];
  ifPresent(() => {
    for (const bad of treeFolderDamage(path, entries, read)) damaged.push(bad);
  });
  return damaged;
}

/** Which folder it is. */
function idOf(path: string): string | undefined {
  const stat = fs.statSync(path, { throwIfNoEntry: false });
  return stat?.isDirectory() === true ? `${stat.ino}.${stat.birthtimeMs}` : undefined;
}

function isThere(path: string): boolean {
  return fs.lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/**
 * What was found in a root: it, and those of its project, which share files with it, are read again before they are used, and made
 * anew if they are damaged; none of them is a source of links before.
 */
export function distrustRoots(projectDir: string): void {
  const marks = (ifPresent(() => fs.readdirSync(projectDir)) ?? []).filter((name) =>
    /^[0-9a-f]{64}\.json$/.test(name),
  );
  for (const mark of marks) {
    const path = join(projectDir, mark);
    fs.writeFileSync(`${path}.doubted`, JSON.stringify({ boot: "" }));
    fs.renameSync(`${path}.doubted`, path);
  }
}
