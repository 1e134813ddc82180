import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

/** A tree of real files and archives of it. Making those is never part of what is measured. */
export interface Corpus {
  readonly name: string;
  readonly tree: string;
  readonly files: number;
  readonly bytes: number;
  readonly archiveBytes: number;
  readonly archive: string;
  /** Archive of the tree with another 1 % of its files changed. */
  changed(round: number): string;
  /** Archives of a round that share no file's content with those of any other. */
  pair(round: number): ArchivePair;
}

export interface ArchivePair {
  readonly cold: string;
  readonly coldBytes: number;
  /** The same tree with 1 % of its files changed. */
  readonly warm: string;
  /** Bytes of the changed files. */
  readonly warmBytes: number;
}

/** Every hundredth file is changed. */
const STEP = 100;

/** Packages of this checkout that are plain files: real trees that are there without a network. */
const PACKAGES = [
  "zod",
  "fast-check",
  "fastify",
  "@nats-io/nats-core",
  "@noble/hashes",
  "ajv",
  "pino",
  "piscina",
  "knip",
  "undici-types",
  "@types/node",
];

/** `folder` is made. */
export function nodeModulesCorpus(folder: string): Corpus {
  const tree = join(folder, "tree");
  for (const name of PACKAGES) {
    const from = join("node_modules", name);
    if (existsSync(from))
      cpSync(from, join(tree, "node_modules", name), { recursive: true, dereference: true });
  }
  return corpusOf(`node_modules of ${PACKAGES.length} packages`, folder);
}

/** @param folder holds `tree` already; archives are made beside it */
export function corpusOf(name: string, folder: string): Corpus {
  const tree = join(folder, "tree");
  const files = filesOf(tree);
  const archive = pack(tree, join(folder, "base.tgz"));
  return {
    name,
    tree,
    files: files.length,
    bytes: bytesOf(tree, files),
    archiveBytes: statSync(archive).size,
    archive,
    changed(round) {
      const copy = join(folder, `changed-${round}`);
      changeSome({ from: tree, to: copy, files, first: round % STEP, line: `changed ${round}` });
      return pack(copy, `${copy}.tgz`);
    },
    pair(round) {
      const cold = join(folder, `cold-${round}`);
      const warm = join(folder, `warm-${round}`);
      cpSync(tree, cold, { recursive: true });
      for (const file of files) appendFileSync(join(cold, file), `\n// pair ${round}\n`);
      const some = changeSome({ from: cold, to: warm, files, first: round % STEP, line: "warm" });
      return {
        cold: pack(cold, `${cold}.tgz`),
        coldBytes: bytesOf(cold, files),
        warm: pack(warm, `${warm}.tgz`),
        warmBytes: bytesOf(warm, some),
      };
    },
  };
}

/** A copy that shares its unchanged files by hard links. @returns the changed ones */
function changeSome(options: {
  from: string;
  to: string;
  files: readonly string[];
  first: number;
  line: string;
}): string[] {
  execFileSync("cp", ["-al", options.from, options.to]);
  const some = options.files.filter((_, i) => i % STEP === options.first);
  for (const file of some) {
    const path = join(options.to, file);
    const content = readFileSync(path);
    rmSync(path);
    writeFileSync(path, Buffer.concat([content, Buffer.from(`\n// ${options.line}\n`)]));
  }
  return some;
}

function pack(tree: string, file: string): string {
  execFileSync("tar", ["czf", file, "--sort=name", "--hard-dereference", "-C", tree, "."]);
  return file;
}

function bytesOf(tree: string, files: readonly string[]): number {
  return files.reduce((sum, file) => sum + statSync(join(tree, file)).size, 0);
}

/** Paths of the files of a tree, sorted. */
export function filesOf(tree: string): string[] {
  return readdirSync(tree, { recursive: true, encoding: "utf8", withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(tree.length + 1))
    .sort();
}
