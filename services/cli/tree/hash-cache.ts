import { createHash } from "node:crypto";
import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { makeFolder } from "../../shared/make-folder.ts";
import type { Environment } from "../verb-context.ts";
import type { FileIdentity } from "./file-identity.ts";

/** What is remembered of one file. */
interface CachedHash {
  readonly identity: string;
  readonly hex: string;
}

const HEADER = "granary-hashes/1";
const LINE = /^([0-9-]+) ([0-9a-f]{64}) (.+)$/;
/**
 * A file that changed this shortly before it was hashed may change again without a trace: file systems tell times apart by a few
 * milliseconds at best, by two seconds at worst. Such files are hashed again next time.
 */
const YOUNG_NS = 2_000_000_000n;
/** Directories that nobody published for so long are forgotten. */
const FORGET_MS = 30 * 24 * 3_600_000;

/**
 * Digests of the files of one directory, from one publish to the next, in `$XDG_CACHE_HOME/granary`. A cache that is missing,
 * damaged or cannot be written costs time, never correctness: the farm verifies what it is sent.
 */
export class HashCache {
  readonly #file: string | undefined;
  readonly #known: ReadonlyMap<string, CachedHash>;

  /** @param root absolute path of the directory */
  constructor(root: string, env: Environment) {
    const folder = cacheFolder(env);
    const name = createHash("sha256").update(root).digest("hex").slice(0, 32);
    this.#file = folder === undefined ? undefined : path.join(folder, name);
    this.#known = this.#file === undefined ? new Map() : readCache(this.#file);
  }

  /** The sha256 (hex) of a file that has not changed since it was hashed; else undefined. */
  find(filePath: string, identity: FileIdentity): string | undefined {
    const cached = this.#known.get(filePath);
    return cached?.identity === identity.text ? cached.hex : undefined;
  }

  /** @param hashedAtMs when the first of these files was looked at */
  save(
    files: Iterable<{ readonly path: string; readonly identity: FileIdentity; readonly hex: string }>,
    hashedAtMs: number,
  ): void {
    if (this.#file === undefined) return;
    const trustedUntilNs = BigInt(Math.floor(hashedAtMs)) * 1_000_000n - YOUNG_NS;
    const lines = [HEADER];
    for (const { path: filePath, identity, hex } of files)
      if (identity.changedNs < trustedUntilNs) lines.push(`${identity.text} ${hex} ${filePath}`);
    writeCache(this.#file, `${lines.join("\n")}\n`);
  }
}

function cacheFolder(env: Environment): string | undefined {
  const base = env["XDG_CACHE_HOME"] || (env["HOME"] ? path.join(env["HOME"], ".cache") : undefined);
  return base === undefined || !path.isAbsolute(base) ? undefined : path.join(base, "granary", "hashes");
}

function readCache(file: string): Map<string, CachedHash> {
  const known = new Map<string, CachedHash>();
  const [header, ...lines] = readIfThere(file).split("\n");
  if (header !== HEADER) return known;
  for (const line of lines) {
    const [, identity, hex, filePath] = LINE.exec(line) ?? [];
    if (identity !== undefined && hex !== undefined && filePath !== undefined)
      known.set(filePath, { identity, hex });
  }
  return known;
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function writeCache(file: string, text: string): void {
  const folder = path.dirname(file);
  const temporary = `${file}.${process.pid}`;
  try {
    makeFolder(folder);
    forgetOld(folder);
    writeFileSync(temporary, text, { mode: 0o600 });
    renameSync(temporary, file);
  } catch {
    // A full disk or a folder of somebody else: the next publish hashes again.
  }
}

function forgetOld(folder: string): void {
  for (const name of readdirSync(folder)) {
    const file = path.join(folder, name);
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat !== undefined && Date.now() - stat.mtimeMs > FORGET_MS) rmSync(file, { force: true });
  }
}
