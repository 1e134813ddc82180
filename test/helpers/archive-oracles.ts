import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../proto/digest.ts";
import { comparePaths, encodeTree, type TreeEntry } from "../../proto/tree.ts";

/** A program that reads archives: what it makes of one, as the bytes of a canonical tree, or why it refused. */
export interface Oracle {
  readonly name: string;
  /** Undefined where the program is installed, else the reason to skip. */
  readonly missing: string | undefined;
  list(archive: Uint8Array): { readonly tree: string } | { readonly refused: string };
}

/** Python lists and checks the archive itself, then extracts: both must agree, so nothing is hidden by either. */
const PYTHON = `
import sys, tarfile
with tarfile.open(sys.argv[1], "r:gz") as t:
    t.errorlevel = 2
    for m in t.getmembers():
        m.uid = m.gid = -1
        m.mtime = 0
        if m.mode is not None: m.mode &= 0o777
        if m.name not in (".", "./"): t.extract(m, sys.argv[2], set_attrs=not m.isdir())
`;

export const ORACLES: readonly Oracle[] = [
  extractor("GNU tar", "tar", ["--version"], (archive, into) => [
    "--no-same-owner",
    "-xzf",
    archive,
    "-C",
    into,
  ]),
  extractor("bsdtar", "bsdtar", ["--version"], (archive, into) => [
    "--no-same-owner",
    "-xzf",
    archive,
    "-C",
    into,
  ]),
  extractor("Python tarfile", "python3", ["--version"], (archive, into) => [
    "-W",
    "ignore",
    "-c",
    PYTHON,
    archive,
    into,
  ]),
];

function extractor(
  name: string,
  program: string,
  probe: readonly string[],
  args: (archive: string, into: string) => string[],
): Oracle {
  const missing = spawnSync(program, probe).error === undefined ? undefined : `${program} is not installed`;
  return {
    name,
    missing,
    list(archive) {
      const folder = mkdtempSync(join(tmpdir(), "granary-oracle-"));
      try {
        const path = join(folder, "a.tgz");
        writeFileSync(path, archive);
        const into = mkdtempSync(join(folder, "x"));
        const run = spawnSync(program, args(path, into), {
          env: { ...process.env, LC_ALL: "C.UTF-8", TZ: "UTC" },
          encoding: "utf8",
        });
        return run.status === 0 && complaint(run) === ""
          ? { tree: treeOf(into) }
          : { refused: complaint(run) };
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  };
}

function complaint(run: SpawnSyncReturns<string>): string {
  const lines = run.stderr.split("\n").filter((line) => line !== "" && !HARMLESS.test(line));
  return lines.length === 0 && run.status !== 0 ? `status ${run.status}` : lines.join("\n");
}

/** Times far away and unknown attributes are told, not obeyed; neither reaches a tree. */
const HARMLESS =
  /implausibly old time stamp|time stamp .* in the future|Ignoring unknown extended header keyword|Exiting with failure status/;

/** The canonical tree of a directory as text, `.git` and `.granary` left out. */
export function treeOf(folder: string): string {
  const entries: TreeEntry[] = [];
  walk(folder, "", entries);
  entries.sort((a, b) => comparePaths(a.path, b.path));
  return encodeTree(entries).toString();
}

function walk(folder: string, path: string, entries: TreeEntry[]): void {
  const names = readdirSync(join(folder, path));
  if (names.length === 0 && path !== "") entries.push({ type: "directory", path });
  for (const name of names) {
    const child = path === "" ? name : `${path}/${name}`;
    if (child === ".git" || child === ".granary") continue;
    const full = join(folder, child);
    const stat = lstatSync(full);
    if (stat.isDirectory()) walk(folder, child, entries);
    else if (stat.isSymbolicLink())
      entries.push({ type: "symlink", path: child, target: readlinkSync(full) });
    else
      entries.push({
        type: "file",
        path: child,
        executable: (stat.mode & 0o100) !== 0,
        digest: digestOf(readFileSync(full)),
        size: stat.size,
      });
  }
}
