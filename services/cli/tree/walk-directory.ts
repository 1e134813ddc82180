import {
  type BigIntStats,
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
  statSync,
} from "node:fs";
import path from "node:path";
import { digestOf } from "../../../proto/digest.ts";
import { checkEntryPath, quote } from "../../../proto/entry-path.ts";
import { GranaryError } from "../../../proto/errors.ts";
import { type IgnoreFile, matchIgnore, parseIgnoreFile } from "../../../proto/ignore.ts";
import type { ArchiveLimits } from "../../../proto/limits.ts";
import type { TreeEntry } from "../../../proto/tree.ts";
import { type SourceEntry, TreeBuilder } from "../../../proto/tree-builder.ts";
import { type FileIdentity, fileIdentity } from "./file-identity.ts";
import { secretRisk } from "./secret-risk.ts";

/** One path of the walk that was not taken, and why: a rule of an ignore file, or "always". */
export interface LeftOut {
  readonly path: string;
  readonly directory: boolean;
  readonly by: string;
}

/** A directory as it will be published; contents are not read yet. */
export interface WalkedDirectory {
  /** Absolute path, links resolved. */
  readonly root: string;
  /** Files, symlinks and empty directories, sorted by path bytes. */
  readonly entries: readonly WalkedEntry[];
  /** Of every file, by path. */
  readonly identities: ReadonlyMap<string, FileIdentity>;
  readonly fileCount: number;
  readonly sizeBytes: number;
  readonly leftOut: readonly LeftOut[];
  readonly warnings: readonly string[];
}

export type WalkedEntry = Exclude<SourceEntry, { readonly type: "hardlink" }>;

export interface WalkOptions {
  readonly directory: string;
  readonly limits: ArchiveLimits;
  /** Whether `.gitignore` files count, too. */
  readonly gitignore: boolean;
}

/** At the root and below: a repository within the tree has a history and credentials, too. */
const ALWAYS_LEFT_OUT = new Set([".git", ".granary"]);
const HEAD_BYTES = 4096;
const PLACEHOLDER = digestOf("");

/**
 * Lists a directory under the rules that the farm applies to archives, so that what it would refuse is refused before a byte
 * is sent.
 * @throws GranaryError ARCHIVE_*, USAGE when the directory or something in it cannot be read
 */
export function walkDirectory(options: WalkOptions): WalkedDirectory {
  const root = resolveRoot(options.directory);
  const walk = new Walk(root, options);
  walk.enter("", []);
  return walk.finish();
}

function resolveRoot(directory: string): string {
  try {
    const root = realpathSync(directory);
    if (statSync(root).isDirectory()) return root;
  } catch (cause) {
    throw new GranaryError(
      "USAGE",
      `no such file or directory: ${directory}`,
      { path: directory },
      { cause },
    );
  }
  throw new GranaryError("USAGE", `${directory} is not a directory`, { path: directory });
}

class Walk {
  readonly #root: string;
  readonly #options: WalkOptions;
  readonly #builder: TreeBuilder;
  readonly #leftOut: LeftOut[] = [];
  readonly #warnings: string[] = [];
  readonly #identities = new Map<string, FileIdentity>();
  #sizeBytes = 0;
  #fileCount = 0;

  constructor(root: string, options: WalkOptions) {
    this.#root = root;
    this.#options = options;
    this.#builder = new TreeBuilder({ limits: options.limits, portableNames: false });
  }

  enter(directory: string, outer: readonly IgnoreFile[]): void {
    const names = this.#list(directory);
    const files = [...outer, ...this.#ignoreFiles(directory, names)];
    let kept = 0;
    for (const name of names) {
      if (this.#visit(directory === "" ? name : `${directory}/${name}`, name, files)) kept += 1;
    }
    // Directories are implied by what they hold; only empty ones are entries.
    if (kept === 0 && directory !== "") this.#builder.add({ type: "directory", path: directory });
  }

  finish(): WalkedDirectory {
    const built = this.#builder.finish();
    this.#warnOfNested(built.entries);
    return {
      root: this.#root,
      entries: built.entries.map(withoutDigest),
      identities: this.#identities,
      fileCount: this.#fileCount,
      sizeBytes: this.#sizeBytes,
      leftOut: this.#leftOut,
      warnings: [...built.warnings, ...this.#warnings],
    };
  }

  /** @returns whether the entry is part of the tree */
  #visit(entryPath: string, name: string, files: readonly IgnoreFile[]): boolean {
    const stats = this.#stat(entryPath);
    // Gone since it was listed: as if it had been listed a moment later.
    if (stats === undefined) return false;
    const directory = stats.isDirectory();
    if (ALWAYS_LEFT_OUT.has(name)) {
      this.#leftOut.push({ path: entryPath, directory, by: "always" });
      return false;
    }
    const ignored = matchIgnore(files, entryPath, directory);
    if (ignored !== undefined) {
      this.#leftOut.push({ path: entryPath, directory, by: ignored.file.name });
      return false;
    }
    if (directory) {
      checkEntryPath(entryPath, this.#options.limits);
      this.enter(entryPath, files);
    } else if (stats.isSymbolicLink()) {
      this.#builder.add({
        type: "symlink",
        path: entryPath,
        target: readable(entryPath, () => readlinkSync(path.join(this.#root, entryPath))),
      });
    } else if (stats.isFile()) {
      this.#addFile(entryPath, stats);
    } else {
      throw new GranaryError("ARCHIVE_ENTRY_TYPE", `${quote(entryPath)} is a ${specialKind(stats)}`, {
        path: entryPath,
      });
    }
    return true;
  }

  #addFile(entryPath: string, stats: BigIntStats): void {
    const { limits } = this.#options;
    const size = Number(stats.size);
    if (size > limits.fileBytes) {
      const detail = { path: entryPath, actual: size, limit: limits.fileBytes };
      throw new GranaryError(
        "ARCHIVE_FILE_TOO_LARGE",
        `${quote(entryPath)} has ${size} bytes, limit ${limits.fileBytes}`,
        detail,
      );
    }
    this.#sizeBytes += size;
    this.#fileCount += 1;
    if (this.#sizeBytes > limits.expandedBytes) {
      const detail = { actual: this.#sizeBytes, limit: limits.expandedBytes };
      throw new GranaryError(
        "ARCHIVE_TOO_LARGE",
        `the files up to ${quote(entryPath)} have ${this.#sizeBytes} bytes, limit ${limits.expandedBytes}`,
        detail,
      );
    }
    this.#identities.set(entryPath, fileIdentity(stats));
    this.#builder.add({ type: "file", path: entryPath, executable: (stats.mode & 0o100n) !== 0n, size });
    this.#builder.setDigest(entryPath, PLACEHOLDER);
    const risk = secretRisk(entryPath, () =>
      readable(entryPath, () => readHead(path.join(this.#root, entryPath))),
    );
    if (risk !== undefined)
      this.#warnings.push(
        `${quote(entryPath)} ${risk} and will be published; leave it out with .granaryignore`,
      );
  }

  #list(directory: string): string[] {
    const absolute = path.join(this.#root, directory);
    const names = readable(directory, () => readdirSync(absolute));
    // Node replaces what is not UTF-8: such a name would be published as another one.
    if (names.some((name) => name.includes("\ufffd"))) this.#refuseBadNames(directory, absolute);
    return names;
  }

  #refuseBadNames(directory: string, absolute: string): void {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    for (const name of readdirSync(absolute, { encoding: "buffer" })) {
      try {
        decoder.decode(name);
      } catch (cause) {
        const shown = quote(path.posix.join(directory, name.toString("latin1")));
        throw new GranaryError(
          "ARCHIVE_NAME_ENCODING",
          `the name ${shown} is not valid UTF-8`,
          { path: directory },
          { cause },
        );
      }
    }
  }

  #stat(entryPath: string): BigIntStats | undefined {
    return readable(entryPath, () =>
      lstatSync(path.join(this.#root, entryPath), { bigint: true, throwIfNoEntry: false }),
    );
  }

  #ignoreFiles(directory: string, names: readonly string[]): IgnoreFile[] {
    const wanted = this.#options.gitignore ? [".gitignore", ".granaryignore"] : [".granaryignore"];
    return wanted
      .filter((name) => names.includes(name))
      .map((name) => {
        const file = path.join(this.#root, directory, name);
        return parseIgnoreFile({
          text: readable(name, () => readFileSync(file, "utf8")),
          base: directory,
          name,
        });
      });
  }

  #warnOfNested(entries: readonly TreeEntry[]): void {
    for (const wanted of ["karta.toml", "Dockerfile"]) {
      if (entries.some((entry) => entry.path === wanted)) continue;
      const nested = entries.find(
        (entry) => entry.path.endsWith(`/${wanted}`) && entry.path.split("/").length === 2,
      );
      if (nested !== undefined)
        this.#warnings.push(
          `${quote(nested.path)} lies one level down and is not read; publish its directory?`,
        );
    }
  }
}

/** The first bytes of a file, one character each. */
function readHead(file: string): string {
  const fd = openSync(file, "r");
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    return head.toString("latin1", 0, readSync(fd, head, 0, HEAD_BYTES, 0));
  } finally {
    closeSync(fd);
  }
}

function withoutDigest(entry: TreeEntry): WalkedEntry {
  if (entry.type !== "file") return entry;
  return { type: "file", path: entry.path, executable: entry.executable, size: entry.size };
}

function specialKind(stats: BigIntStats): string {
  if (stats.isFIFO()) return "named pipe";
  if (stats.isSocket()) return "socket";
  return "device";
}

function readable<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown error";
    throw new GranaryError("USAGE", `${quote(what)} cannot be read (${code})`, { path: what }, { cause });
  }
}
