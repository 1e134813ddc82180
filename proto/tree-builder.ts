import type { Digest } from "./digest.ts";
import { checkCharacters, checkEntryPath, portabilityProblem, quote } from "./entry-path.ts";
import { GranaryError } from "./errors.ts";
import { type ArchiveLimits, LIMITS } from "./limits.ts";
import { resolveSymlinks } from "./symlinks.ts";
import { comparePaths, type TreeEntry } from "./tree.ts";

/** What a source (archive, directory, listing) offers to a tree. Hardlinks name the path of an earlier file. */
export type SourceEntry =
  | { readonly type: "file"; readonly path: string; readonly executable: boolean; readonly size: number }
  | { readonly type: "symlink"; readonly path: string; readonly target: string }
  | { readonly type: "hardlink"; readonly path: string; readonly target: string }
  | { readonly type: "directory"; readonly path: string };

export interface BuiltTree {
  /** Sorted by path bytes. */
  readonly entries: readonly TreeEntry[];
  readonly warnings: readonly string[];
}

const LEFT_OUT = /^(?:\.git|\.granary)(?:\/|$)/;

type Slot = { entry: SourceEntry; digest: Digest | undefined; size: number };

/**
 * Collects entries in any order, refuses what the archive grammar refuses as soon as it is seen, and ends in the canonical
 * tree. `add` comes before an entry's content is read, `setDigest` after; `.git` and `.granary` at the root are left out.
 */
export class TreeBuilder {
  readonly #limits: ArchiveLimits;
  readonly #portableNames: boolean;
  readonly #slots = new Map<string, Slot>();
  readonly #normalized = new Map<string, string>();
  readonly #folded = new Map<string, string>();
  readonly #warnings: string[] = [];
  #leftOut = 0;
  #warningsDropped = 0;
  #count = 0;

  constructor(options: { limits: ArchiveLimits; portableNames: boolean }) {
    this.#limits = options.limits;
    this.#portableNames = options.portableNames;
  }

  /**
   * Checks and records an entry. Answers whether its content is wanted (false: left out of the tree).
   * @throws GranaryError ARCHIVE_*
   */
  add(entry: SourceEntry): boolean {
    this.#count += 1;
    if (this.#count > this.#limits.entries) {
      throw new GranaryError(
        "ARCHIVE_TOO_MANY_ENTRIES",
        `more than ${this.#limits.entries} entries (at ${quote(entry.path)})`,
        {
          path: entry.path.slice(0, 200),
          actual: this.#count,
          limit: this.#limits.entries,
        },
      );
    }
    checkEntryPath(entry.path, this.#limits);
    if (entry.type === "symlink") checkTarget(entry.path, entry.target, this.#limits);
    this.#refuseTwins(entry);
    const size = entry.type === "file" ? entry.size : 0;
    this.#slots.set(entry.path, { entry, digest: undefined, size });
    if (entry.type === "hardlink") this.#checkHardlink(entry.path, entry.target);
    if (!LEFT_OUT.test(entry.path)) return true;
    this.#leftOut += 1;
    return false;
  }

  setDigest(path: string, digest: Digest): void {
    const slot = this.#slots.get(path);
    if (slot === undefined) throw new RangeError(`no entry ${path}`);
    slot.digest = digest;
  }

  /** @throws GranaryError ARCHIVE_EMPTY, ARCHIVE_PATH_CONFLICT, ARCHIVE_LINK_* */
  finish(): BuiltTree {
    const kept = [...this.#slots.values()].filter((slot) => !LEFT_OUT.test(slot.entry.path));
    if (this.#leftOut > 0) this.#warn(`left out ${this.#leftOut} entries of .git and .granary`);
    kept.sort((a, b) => comparePaths(a.entry.path, b.entry.path));
    const parents = this.#checkParents(kept);
    const entries = kept
      .filter((slot) => slot.entry.type !== "directory" || !parents.has(slot.entry.path))
      .map((slot) => this.#treeEntry(slot));
    if (!entries.some((entry) => entry.type !== "directory")) {
      throw new GranaryError("ARCHIVE_EMPTY", "there is no file to publish");
    }
    resolveSymlinks(entries, parents);
    if (this.#warningsDropped > 0) this.#warnings.push(`${this.#warningsDropped} more warnings`);
    return { entries, warnings: this.#warnings };
  }

  #refuseTwins(entry: SourceEntry): void {
    const { path } = entry;
    if (this.#slots.has(path)) {
      const both = entry.type === "directory" && this.#slots.get(path)?.entry.type === "directory";
      throw new GranaryError(
        "ARCHIVE_PATH_DUPLICATE",
        `${quote(path)} occurs twice${both ? " as a directory" : ""}`,
        { path },
      );
    }
    const normal = path.normalize("NFC");
    const twin = this.#normalized.get(normal);
    if (twin !== undefined) {
      throw new GranaryError(
        "ARCHIVE_PATH_COLLISION",
        `${quote(path)} and ${quote(twin)} are equal after NFC normalization`,
        {
          path,
          other: twin,
        },
      );
    }
    this.#normalized.set(normal, path);
    const folded = normal.toUpperCase().toLowerCase();
    const caseTwin = this.#folded.get(folded);
    if (caseTwin !== undefined)
      this.#notPortable(path, `${quote(path)} and ${quote(caseTwin)} differ only in case`);
    else this.#folded.set(folded, path);
    const problem = portabilityProblem(path);
    if (problem !== undefined) this.#notPortable(path, problem);
  }

  #checkHardlink(path: string, target: string): void {
    const slot = this.#slots.get(target);
    const usable =
      slot !== undefined && target !== path && (slot.entry.type === "file" || slot.entry.type === "hardlink");
    if (!usable || (LEFT_OUT.test(target) && !LEFT_OUT.test(path))) {
      throw new GranaryError(
        "ARCHIVE_HARDLINK_TARGET",
        `${quote(path)} is a hardlink to ${quote(target)}, which is no earlier regular file`,
        {
          path,
          target: target.slice(0, 200),
        },
      );
    }
  }

  /** Every ancestor of an entry is a directory, listed or implied; answers the set of all ancestors. */
  #checkParents(kept: readonly Slot[]): Set<string> {
    const parents = new Set<string>();
    for (const { entry } of kept) {
      for (let at = entry.path.lastIndexOf("/"); at > 0; at = entry.path.lastIndexOf("/", at - 1)) {
        const parent = entry.path.slice(0, at);
        if (parents.has(parent)) break;
        const other = this.#slots.get(parent);
        if (other !== undefined && other.entry.type !== "directory") {
          throw new GranaryError(
            "ARCHIVE_PATH_CONFLICT",
            `${quote(entry.path)} lies below ${quote(parent)}, which is a ${other.entry.type}`,
            {
              path: entry.path,
              parent,
            },
          );
        }
        parents.add(parent);
      }
    }
    return this.#refuseImpliedTwins(parents);
  }

  /** Implied directories take part in the rules for twins too: `a/x` and `A\u0308/y` style pairs are caught here. */
  #refuseImpliedTwins(parents: Set<string>): Set<string> {
    for (const parent of parents) {
      if (this.#slots.has(parent)) continue;
      const normal = parent.normalize("NFC");
      const twin = this.#normalized.get(normal);
      if (twin !== undefined && twin !== parent) {
        throw new GranaryError(
          "ARCHIVE_PATH_COLLISION",
          `${quote(parent)} and ${quote(twin)} are equal after NFC normalization`,
          {
            path: parent,
            other: twin,
          },
        );
      }
      this.#normalized.set(normal, parent);
      const folded = normal.toUpperCase().toLowerCase();
      const caseTwin = this.#folded.get(folded);
      if (caseTwin !== undefined && caseTwin !== parent)
        this.#notPortable(parent, `${quote(parent)} and ${quote(caseTwin)} differ only in case`);
      else this.#folded.set(folded, parent);
    }
    return parents;
  }

  #treeEntry(slot: Slot): TreeEntry {
    const { entry } = slot;
    if (entry.type === "directory") return { type: "directory", path: entry.path };
    if (entry.type === "symlink") return { type: "symlink", path: entry.path, target: entry.target };
    const file = entry.type === "hardlink" ? this.#fileBehind(entry.target) : slot;
    if (file.digest === undefined || file.entry.type !== "file")
      throw new RangeError(`no digest was set for ${entry.path}`);
    return {
      type: "file",
      path: entry.path,
      executable: file.entry.executable,
      digest: file.digest,
      size: file.size,
    };
  }

  #fileBehind(path: string): Slot {
    let slot = this.#slots.get(path);
    while (slot?.entry.type === "hardlink") slot = this.#slots.get(slot.entry.target);
    if (slot === undefined) throw new RangeError(`no file ${path}`);
    return slot;
  }

  #notPortable(path: string, message: string): void {
    if (this.#portableNames) throw new GranaryError("ARCHIVE_PATH_NOT_PORTABLE", message, { path });
    this.#warn(`not portable: ${message}`);
  }

  #warn(message: string): void {
    if (this.#warnings.length < LIMITS.warnings) this.#warnings.push(message);
    else this.#warningsDropped += 1;
  }
}

function checkTarget(path: string, target: string, limits: ArchiveLimits): void {
  if (target === "")
    throw new GranaryError("ARCHIVE_LINK_EMPTY", `${quote(path)} is a link without a target`, { path });
  checkCharacters(target, "link target");
  if (target.startsWith("/")) {
    throw new GranaryError(
      "ARCHIVE_LINK_ABSOLUTE",
      `${quote(path)} points to the absolute path ${quote(target)}`,
      {
        path,
        target: target.slice(0, 200),
      },
    );
  }
  const bytes = Buffer.byteLength(target);
  if (bytes > limits.pathBytes) {
    throw new GranaryError(
      "ARCHIVE_PATH_TOO_LONG",
      `the target of ${quote(path)} has ${bytes} bytes, limit ${limits.pathBytes}`,
      {
        path,
        actual: bytes,
        limit: limits.pathBytes,
      },
    );
  }
}
