import type { Digest } from "./digest.ts";
import { checkCharacters, checkEntryPath, portabilityProblem, quote } from "./entry-path.ts";
import { GranaryError } from "./errors.ts";
import { type ArchiveLimits, LIMITS } from "./limits.ts";
import { resolveSymlinks } from "./symlinks.ts";
import { comparePaths, type TreeEntry } from "./tree.ts";

/**
 * What a source (archive, directory, listing) offers to a tree. Hardlinks name the path of an earlier file; one that says
 * whether it is executable must agree with that file (Python changes the mode of both, others ignore it).
 */
export type SourceEntry =
  | { readonly type: "file"; readonly path: string; readonly executable: boolean; readonly size: number }
  | { readonly type: "symlink"; readonly path: string; readonly target: string }
  | {
      readonly type: "hardlink";
      readonly path: string;
      readonly target: string;
      readonly executable?: boolean;
    }
  | { readonly type: "directory"; readonly path: string };

export interface BuiltTree {
  /** Sorted by path bytes. */
  readonly entries: readonly TreeEntry[];
  readonly warnings: readonly string[];
}

const LEFT_OUT = /^(?:\.git|\.granary)(?:\/|$)/;
/** Printable ASCII without capitals: equal to its own normal and folded form. */
const CASELESS = /^[ -@[-~]*$/;
const SURROGATE = /[\ud800-\udfff]/;

/** `file` is where the content is: the slot itself for a file, that of the file behind a hardlink. */
type Slot = {
  readonly entry: SourceEntry;
  readonly file: Slot | undefined;
  readonly leftOut: boolean;
  digest: Digest | undefined;
};

/**
 * Collects entries in any order, refuses what the archive grammar refuses as soon as it is seen, and ends in the canonical
 * tree. `add` comes before an entry's content is read, `setDigest` after; `.git` and `.granary` at the root are left out.
 */
export class TreeBuilder {
  readonly #limits: ArchiveLimits;
  readonly #portableNames: boolean;
  readonly #slots = new Map<string, Slot>();
  /** All ancestors of the entries, listed or implied; filled by `finish`. */
  readonly #parents = new Set<string>();
  /** Twins: form to path, only for paths that differ from their form. Most maps stay small: 0.27 us an entry, not 0.51. */
  readonly #normalized = new Map<string, string>();
  readonly #folded = new Map<string, string>();
  readonly #warnings: string[] = [];
  #leftOut = 0;
  #warningsDropped = 0;
  #count = 0;
  #sizeBytes = 0;
  #hasSurrogates = false;

  constructor(options: { limits: ArchiveLimits; portableNames: boolean }) {
    this.#limits = options.limits;
    this.#portableNames = options.portableNames;
  }

  /**
   * Checks and records an entry. Answers whether its content is wanted (false: left out of the tree).
   * @throws GranaryError ARCHIVE_*
   */
  add(entry: SourceEntry): boolean {
    const { path } = entry;
    this.#count += 1;
    if (this.#count > this.#limits.entries) throw this.#tooMany("entries", this.#count, path);
    checkEntryPath(path, this.#limits);
    if (entry.type === "symlink") checkTarget(path, entry.target, this.#limits);
    this.#refuseDuplicate(entry);
    this.#refuseTwins(path);
    const leftOut = LEFT_OUT.test(path);
    const slot: Slot = { entry, file: this.#fileBehind(entry, leftOut), leftOut, digest: undefined };
    this.#slots.set(path, slot);
    this.#countSize(path, (slot.file ?? slot).entry);
    if (leftOut) this.#leftOut += 1;
    return !leftOut;
  }

  setDigest(path: string, digest: Digest): void {
    const slot = this.#slots.get(path);
    if (slot === undefined) throw new RangeError(`no entry ${path}`);
    slot.digest = digest;
  }

  /** @throws GranaryError ARCHIVE_EMPTY, ARCHIVE_TOO_MANY_ENTRIES, ARCHIVE_PATH_*, ARCHIVE_LINK_* */
  finish(): BuiltTree {
    if (this.#leftOut > 0) this.#warn(`left out ${this.#leftOut} entries of .git and .granary`);
    this.#checkParents();
    const entries: TreeEntry[] = [];
    const links = new Map<string, string>();
    for (const slot of this.#slots.values()) {
      const { entry } = slot;
      if (slot.leftOut || (entry.type === "directory" && this.#parents.has(entry.path))) continue;
      if (entry.type === "symlink") links.set(entry.path, entry.target);
      entries.push(treeEntry(slot));
    }
    if (!entries.some((entry) => entry.type !== "directory")) {
      throw new GranaryError("ARCHIVE_EMPTY", "there is no file to publish");
    }
    resolveSymlinks(links, (path) => this.#kindOf(path));
    // Strings compare natively where no surrogate makes UTF-16 order differ from that of bytes: 0.7 us an entry, not 1.5.
    if (this.#hasSurrogates) entries.sort((a, b) => comparePaths(a.path, b.path));
    else entries.sort((a, b) => (a.path < b.path ? -1 : 1));
    if (this.#warningsDropped > 0) this.#warnings.push(`${this.#warningsDropped} more warnings`);
    return { entries, warnings: this.#warnings };
  }

  #refuseDuplicate({ path, type }: SourceEntry): void {
    const other = this.#slots.get(path);
    if (other === undefined) return;
    const both = type === "directory" && other.entry.type === "directory";
    throw new GranaryError(
      "ARCHIVE_PATH_DUPLICATE",
      `${quote(path)} occurs twice${both ? " as a directory" : ""}`,
      { path },
    );
  }

  #refuseTwins(path: string): void {
    const caseless = CASELESS.test(path);
    const normal = caseless ? path : path.normalize("NFC");
    const twin = this.#normalized.get(normal) ?? this.#otherPath(normal, path);
    if (twin !== undefined && twin !== path) {
      throw new GranaryError(
        "ARCHIVE_PATH_COLLISION",
        `${quote(path)} and ${quote(twin)} are equal after NFC normalization`,
        {
          path,
          other: twin,
        },
      );
    }
    if (normal !== path) this.#normalized.set(normal, path);
    if (!caseless && SURROGATE.test(path)) this.#hasSurrogates = true;
    const folded = caseless ? path : normal.toUpperCase().toLowerCase();
    const caseTwin = this.#folded.get(folded) ?? this.#otherPath(folded, path);
    if (caseTwin !== undefined)
      this.#notPortable(path, `${quote(path)} and ${quote(caseTwin)} differ only in case`);
    else if (folded !== path) this.#folded.set(folded, path);
    const problem = portabilityProblem(path);
    if (problem !== undefined) this.#notPortable(path, problem);
  }

  /** `form` where it is itself a path of the tree beside `path`. */
  #otherPath(form: string, path: string): string | undefined {
    return form !== path && (this.#slots.has(form) || this.#parents.has(form)) ? form : undefined;
  }

  #fileBehind(entry: SourceEntry, leftOut: boolean): Slot | undefined {
    if (entry.type !== "hardlink") return undefined;
    const { path, target } = entry;
    const slot = this.#slots.get(target);
    const file = slot?.entry.type === "file" ? slot : slot?.file;
    if (file === undefined || (file.leftOut && !leftOut)) {
      throw new GranaryError(
        "ARCHIVE_HARDLINK_TARGET",
        `${quote(path)} is a hardlink to ${quote(target)}, which is no earlier regular file`,
        {
          path,
          target: target.slice(0, 200),
        },
      );
    }
    if (
      entry.executable !== undefined &&
      file.entry.type === "file" &&
      file.entry.executable !== entry.executable
    ) {
      throw new GranaryError(
        "ARCHIVE_META_CONFLICT",
        `${quote(path)} and ${quote(target)} are one file with two modes`,
        { path, target },
      );
    }
    return file;
  }

  /** Hardlinks count whole: they become files in layers, and 200,000 links to one GiB would be 200 TiB there. */
  #countSize(path: string, source: SourceEntry): void {
    const size = source.type === "file" ? source.size : 0;
    this.#sizeBytes += size;
    checkSize({ path, size }, this.#sizeBytes, this.#limits);
  }

  /** Every ancestor of an entry is a directory, listed or implied; implied ones take part in the rules for twins too. */
  #checkParents(): void {
    let implied = 0;
    for (const { entry } of this.#slots.values()) {
      const { path } = entry;
      for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) {
        const parent = path.slice(0, at);
        if (this.#parents.has(parent)) break;
        const listed = this.#slots.get(parent)?.entry.type;
        if (listed !== undefined && listed !== "directory") {
          throw new GranaryError(
            "ARCHIVE_PATH_CONFLICT",
            `${quote(path)} lies below ${quote(parent)}, which is a ${listed}`,
            { path, parent },
          );
        }
        if (listed === undefined) {
          implied += 1;
          // Without this bound 200,000 entries 64 deep would imply 12.6 million directories.
          if (implied > this.#limits.entries) throw this.#tooMany("directories", implied, path);
          this.#refuseTwins(parent);
        }
        this.#parents.add(parent);
      }
    }
  }

  #kindOf(path: string): "file" | "directory" | undefined {
    if (LEFT_OUT.test(path)) return undefined;
    const type = this.#slots.get(path)?.entry.type;
    if (type === undefined) return this.#parents.has(path) ? "directory" : undefined;
    return type === "directory" ? "directory" : "file";
  }

  #tooMany(what: string, actual: number, path: string): GranaryError {
    const limit = this.#limits.entries;
    return new GranaryError("ARCHIVE_TOO_MANY_ENTRIES", `more than ${limit} ${what} (at ${quote(path)})`, {
      path: path.slice(0, 200),
      actual,
      limit,
    });
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

/**
 * @param together the sizes of all files so far, this one's with them
 * @throws GranaryError ARCHIVE_FILE_TOO_LARGE, ARCHIVE_TOO_LARGE
 */
export function checkSize(
  { path, size }: { readonly path: string; readonly size: number },
  together: number,
  { fileBytes, expandedBytes }: ArchiveLimits,
): void {
  if (size > fileBytes) {
    const detail = { path, actual: size, limit: fileBytes };
    throw new GranaryError(
      "ARCHIVE_FILE_TOO_LARGE",
      `${quote(path)} has ${size} bytes, limit ${fileBytes}`,
      detail,
    );
  }
  if (together > expandedBytes) {
    const detail = { path, actual: together, limit: expandedBytes };
    throw new GranaryError(
      "ARCHIVE_TOO_LARGE",
      `the files have more than ${expandedBytes} bytes together (at ${quote(path)})`,
      detail,
    );
  }
}

function treeEntry(slot: Slot): TreeEntry {
  const { entry } = slot;
  if (entry.type === "directory") return { type: "directory", path: entry.path };
  if (entry.type === "symlink") return { type: "symlink", path: entry.path, target: entry.target };
  const file = slot.file ?? slot;
  if (file.digest === undefined || file.entry.type !== "file")
    throw new RangeError(`no digest was set for ${entry.path}`);
  return {
    type: "file",
    path: entry.path,
    executable: file.entry.executable,
    digest: file.digest,
    size: file.entry.size,
  };
}

function checkTarget(path: string, target: string, limits: ArchiveLimits): void {
  if (target === "")
    throw new GranaryError("ARCHIVE_LINK_EMPTY", `${quote(path)} is a link without a target`, { path });
  checkCharacters(target, "link target", path);
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
  refuseLexicalEscape(path, target);
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

/**
 * Refuses a target that climbs out of the tree as text, whatever the links on its way would make of it: some readers look no
 * further. It holds for links that are left out of the tree too. What is left is checked by {@link resolveSymlinks}.
 */
function refuseLexicalEscape(path: string, target: string): void {
  if (!target.includes("..")) return;
  let depth = path.split("/").length - 1;
  for (const segment of target.split("/")) {
    if (segment === "" || segment === ".") continue;
    depth += segment === ".." ? -1 : 1;
    if (depth < 0) {
      throw new GranaryError(
        "ARCHIVE_LINK_ESCAPES",
        `${quote(path)} -> ${quote(target)} points outside the tree`,
        {
          path,
          target: target.slice(0, 200),
        },
      );
    }
  }
}
