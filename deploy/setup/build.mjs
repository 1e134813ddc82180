import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { runCommand } from "./run-command.mjs";
import { say } from "./say.mjs";
import { SetupError } from "./setup-error.mjs";

const SOURCE_FOLDERS = ["proto", "store", "workers", "services", "test"];
const COMMAND = "dist/services/cli/main.js";

/**
 * Compiles with the checkout's own tsc unless `dist` was made from exactly these sources, takes away what sources that
 * are gone left in it (a removed test would go on running), and makes `npx granary` work.
 * @param {string} root the checkout
 * @throws {SetupError} with the compiler's output
 */
export async function build(root) {
  const sources = SOURCE_FOLDERS.flatMap((folder) => filesBelow(root, folder, ".ts"));
  const stampFile = path.join(root, "dist", ".granary-build");
  const stamp = sourceStamp(root, sources);
  const outputs = new Set(sources.map((file) => path.join("dist", file.replace(/\.ts$/, ".js"))));
  const isWhole = [...outputs].every((file) => fs.existsSync(path.join(root, file)));
  const isCurrent = isWhole && fs.existsSync(stampFile) && fs.readFileSync(stampFile, "utf8") === stamp;
  if (!isCurrent) {
    say("building");
    fs.rmSync(stampFile, { force: true });
    // The compiler trusts its record and would not write again what somebody removed.
    if (!isWhole) fs.rmSync(path.join(root, "dist", ".tsbuildinfo"), { force: true });
    const tsc = path.join(root, "node_modules", ".bin", "tsc");
    const { ok, output } = await runCommand(tsc, ["-p", "."], { cwd: root });
    if (!ok) throw new SetupError(`the build failed:\n${output.trim()}`);
    removeOrphans(root, outputs);
    fs.writeFileSync(stampFile, stamp);
  }
  linkCommand(root);
}

/** A hash over names and bytes of everything that decides what the compiler writes. */
function sourceStamp(root, sources) {
  const hash = createHash("sha256");
  for (const file of ["tsconfig.json", "package.json", "package-lock.json", ...sources]) {
    const bytes = fs.readFileSync(path.join(root, file));
    hash.update(`${file}\0${bytes.length}\0`).update(bytes);
  }
  return `${hash.digest("hex")}\n`;
}

function removeOrphans(root, outputs) {
  for (const file of SOURCE_FOLDERS.flatMap((folder) => filesBelow(root, path.join("dist", folder), ".js"))) {
    if (outputs.has(file)) continue;
    fs.rmSync(path.join(root, file));
    fs.rmSync(path.join(root, `${file}.map`), { force: true });
  }
}

/** What npm does for an installed package's `bin`: an executable file and a link that npx finds. */
function linkCommand(root) {
  const file = path.join(root, COMMAND);
  if (!fs.existsSync(file)) return;
  if ((fs.statSync(file).mode & 0o111) !== 0o111) fs.chmodSync(file, 0o755);
  const link = path.join(root, "node_modules", ".bin", "granary");
  const target = path.relative(path.dirname(link), file);
  if (readLink(link) === target) return;
  const draft = `${link}.${process.pid}`;
  fs.symlinkSync(target, draft);
  fs.renameSync(draft, link);
}

function readLink(link) {
  try {
    return fs.readlinkSync(link);
  } catch {
    return undefined;
  }
}

/** Paths relative to the checkout, sorted. */
function filesBelow(root, folder, suffix) {
  const absolute = path.join(root, folder);
  if (!fs.existsSync(absolute)) return [];
  return fs
    .readdirSync(absolute, { recursive: true })
    .filter((name) => name.endsWith(suffix))
    .map((name) => path.join(folder, name))
    .sort();
}
