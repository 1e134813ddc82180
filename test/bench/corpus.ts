import { execFileSync } from "node:child_process";
import { appendFileSync, cpSync, existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** A tree of real files and archives of it: one as it is, and one a round in which 1 % of the files have changed. */
export interface Corpus {
  readonly name: string;
  readonly files: number;
  readonly bytes: number;
  readonly archiveBytes: number;
  readonly archive: string;
  /** Archive of round `r`: the tree with another 1 % of its files changed. Made outside of what is measured. */
  changed(round: number): string;
}

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

export function nodeModulesCorpus(folder: string): Corpus {
  const tree = join(folder, "tree");
  for (const name of PACKAGES) {
    const from = join("node_modules", name);
    if (existsSync(from))
      cpSync(from, join(tree, "node_modules", name), { recursive: true, dereference: true });
  }
  const files = filesOf(tree);
  const archive = pack(tree, join(folder, "base.tgz"));
  const changed = (round: number): string => {
    const step = 100;
    const copy = join(folder, `changed-${round}`);
    cpSync(tree, copy, { recursive: true });
    for (let i = round % step; i < files.length; i += step)
      appendFileSync(join(copy, files[i] ?? ""), `\n// round ${round}\n`);
    return pack(copy, join(folder, `changed-${round}.tgz`));
  };
  const bytes = files.reduce((sum, file) => sum + statSync(join(tree, file)).size, 0);
  return {
    name: `node_modules of ${PACKAGES.length} packages`,
    files: files.length,
    bytes,
    archiveBytes: statSync(archive).size,
    archive,
    changed,
  };
}

function pack(tree: string, file: string): string {
  mkdirSync(join(file, ".."), { recursive: true });
  execFileSync("tar", ["czf", file, "--sort=name", "-C", tree, "."]);
  return file;
}

function filesOf(tree: string): string[] {
  return readdirSync(tree, { recursive: true, encoding: "utf8", withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(tree.length + 1))
    .sort();
}
