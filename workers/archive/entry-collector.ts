import type { Digest } from "../../proto/digest.ts";
import { checkEntryPath, quote } from "../../proto/entry-path.ts";
import { GranaryError } from "../../proto/errors.ts";
import type { ArchiveLimits } from "../../proto/limits.ts";
import { type BuiltTree, TreeBuilder } from "../../proto/tree-builder.ts";
import type { MetaHeaders } from "./meta-headers.ts";
import { stripHint } from "./strip-hint.ts";
import { headerLink, headerPath, type TarHeader } from "./tar-header.ts";

const TYPE = { file: 0x30, oldFile: 0, hardlink: 0x31, symlink: 0x32, directory: 0x35 } as const;
const OWNER_EXECUTES = 0o100;
const SPECIAL_BITS = 0o7000;

/** A regular file whose content follows. */
interface FileEntry {
  readonly path: string;
  readonly executable: boolean;
  readonly size: number;
  readonly wanted: boolean;
}

/** Turns headers into entries of a tree: types, names, links and what was stripped. */
export class EntryCollector {
  readonly #limits: ArchiveLimits;
  readonly #strip: number;
  readonly #builder: TreeBuilder;
  #count = 0;
  #sawRoot = false;
  #specialCount = 0;
  #specialExample = "";

  constructor(options: { limits: ArchiveLimits; portableNames: boolean; strip: number }) {
    this.#limits = options.limits;
    this.#strip = options.strip;
    this.#builder = new TreeBuilder(options);
  }

  get count(): number {
    return this.#count;
  }

  /**
   * Checks and records an entry; answers it if it is a regular file (one that `strip` leaves out is an error).
   * @throws GranaryError ARCHIVE_*, USAGE
   */
  take(block: Buffer, at: number, header: TarHeader, meta: MetaHeaders): FileEntry | undefined {
    this.#countEntry();
    const { type } = header;
    const isFile = type === TYPE.file || type === TYPE.oldFile;
    checkFields(header, meta, isFile);
    const spelled = meta.path ?? headerPath(block, at, header);
    if (isFile) this.#refuseDirectoryAsFile(spelled, block, at, header);
    const path = this.#pathOf(spelled, type === TYPE.directory);
    if (path === undefined) return undefined;
    if ((header.mode & SPECIAL_BITS) !== 0) this.#noteSpecial(path);
    if (isFile) {
      const executable = isExecutable(header);
      const size = meta.size ?? header.size;
      const wanted = this.#builder.add({ type: "file", path, executable, size });
      return { path, executable, size, wanted };
    }
    if (type === TYPE.directory) this.#builder.add({ type: "directory", path });
    else this.#addLink(header, path, meta.link ?? headerLink(block, at, header));
    return undefined;
  }

  setDigest(path: string, digest: Digest | undefined): void {
    if (digest !== undefined) this.#builder.setDigest(path, digest);
  }

  /** @throws GranaryError ARCHIVE_EMPTY, ARCHIVE_PATH_*, ARCHIVE_LINK_* */
  finish(): BuiltTree {
    const { entries, warnings } = this.#builder.finish();
    const more: string[] = [];
    if (this.#specialCount > 0) {
      more.push(
        `setuid, setgid and sticky bits are dropped: ${quote(this.#specialExample)}${others(this.#specialCount - 1)}`,
      );
    }
    const hint = this.#strip === 0 ? stripHint(entries) : undefined;
    if (hint !== undefined) more.push(hint);
    return { entries, warnings: [...warnings, ...more] };
  }

  #countEntry(): void {
    this.#count += 1;
    const limit = this.#limits.entries;
    // TreeBuilder counts what it is given; the root and what `strip` leaves out never get there.
    if (this.#count > limit) {
      throw new GranaryError("ARCHIVE_TOO_MANY_ENTRIES", `more than ${limit} entries`, {
        actual: this.#count,
        limit,
      });
    }
  }

  /** Readers differ: bsdtar and node-tar make it a directory, Python only where the type byte is NUL. */
  #refuseDirectoryAsFile(spelled: string, block: Buffer, at: number, header: TarHeader): void {
    const oldName =
      header.type === TYPE.oldFile && header.nameBytes > 0 && block[at + header.nameBytes - 1] === 0x2f;
    if (!oldName && !spelled.endsWith("/")) return;
    throw new GranaryError("ARCHIVE_ENTRY_TYPE", `${quote(spelled)} is a directory spelled as a file`, {
      path: spelled.slice(0, 200),
    });
  }

  /** The path in the tree, or undefined for the root and for directories that `strip` leaves out. */
  #pathOf(spelled: string, isDirectory: boolean): string | undefined {
    let path = spelled.startsWith("./") ? spelled.slice(2) : spelled;
    if (path === "" && isDirectory) {
      if (this.#sawRoot)
        throw new GranaryError("ARCHIVE_PATH_DUPLICATE", `${quote(spelled)} occurs twice`, { path: spelled });
      this.#sawRoot = true;
      return undefined;
    }
    if (isDirectory && path.endsWith("/")) path = path.slice(0, -1);
    if (this.#strip === 0) return path;
    checkEntryPath(path, this.#limits);
    const stripped = this.#stripped(path);
    if (stripped !== undefined || isDirectory) return stripped;
    throw new GranaryError("USAGE", `--strip ${this.#strip} leaves nothing of the path ${quote(path)}`, {
      path,
      strip: this.#strip,
    });
  }

  #stripped(path: string): string | undefined {
    let at = 0;
    for (let i = 0; i < this.#strip; i++) {
      at = path.indexOf("/", at) + 1;
      if (at === 0) return undefined;
    }
    return path.slice(at);
  }

  #addLink(header: TarHeader, path: string, target: string): void {
    if (target === "")
      throw new GranaryError("ARCHIVE_LINK_EMPTY", `${quote(path)} is a link without a target`, { path });
    if (header.type === TYPE.symlink) {
      this.#builder.add({ type: "symlink", path, target });
      return;
    }
    const plain = target.startsWith("./") ? target.slice(2) : target;
    const stripped = this.#strip === 0 ? plain : this.#stripped(plain);
    this.#builder.add({ type: "hardlink", path, target: stripped ?? "", executable: isExecutable(header) });
  }

  #noteSpecial(path: string): void {
    if (this.#specialCount === 0) this.#specialExample = path;
    this.#specialCount += 1;
  }
}

/** What type, size and link name say must fit together. @throws GranaryError ARCHIVE_ENTRY_*, ARCHIVE_META_CONFLICT */
function checkFields(header: TarHeader, meta: MetaHeaders, isFile: boolean): void {
  const { type } = header;
  const isLink = type === TYPE.hardlink || type === TYPE.symlink;
  if (!isFile && !isLink && type !== TYPE.directory) throw refusedType(type);
  const size = Math.max(meta.size ?? 0, header.size);
  if (!isFile && size !== 0) {
    throw new GranaryError(
      "ARCHIVE_ENTRY_SIZE",
      `an entry that is no regular file has a size of ${size} bytes`,
      { actual: size, limit: 0 },
    );
  }
  if (!isLink && (header.linkBytes > 0 || meta.link !== undefined)) {
    // node-tar leaves such an entry out, the others ignore the link name.
    throw new GranaryError("ARCHIVE_META_CONFLICT", "an entry that is no link has a link name");
  }
}

/** Only the owner's bit counts: what others may do is decided where a release is used. */
function isExecutable(header: TarHeader): boolean {
  return (header.mode & OWNER_EXECUTES) !== 0;
}

function others(count: number): string {
  return count === 0 ? "" : ` and ${count} more`;
}

function refusedType(type: number): GranaryError {
  const actual = type > 0x20 && type < 0x7f ? String.fromCharCode(type) : `0x${type.toString(16)}`;
  const name = TYPE_NAMES.get(actual);
  return new GranaryError(
    "ARCHIVE_ENTRY_TYPE",
    `an entry of type ${actual}${name === undefined ? "" : ` (${name})`} is not allowed`,
    { actual },
  );
}

const TYPE_NAMES: ReadonlyMap<string, string> = new Map([
  ["3", "character device"],
  ["4", "block device"],
  ["6", "fifo"],
  ["7", "contiguous file"],
  ["D", "GNU incremental directory"],
  ["M", "continued from another volume"],
  ["N", "old GNU long name"],
  ["S", "sparse file"],
  ["V", "volume label"],
  ["X", "Sun extended header"],
]);
