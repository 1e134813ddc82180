import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { runCommand } from "./run-command.mjs";
import { say } from "./say.mjs";
import { SetupError } from "./setup-error.mjs";

/**
 * Runs `npm ci` unless node_modules is what package-lock.json says. No install script runs: lmdb comes prebuilt.
 * @param {string} root the checkout
 * @throws {SetupError}
 */
export async function installDependencies(root) {
  const stampFile = path.join(root, "node_modules", ".granary-setup");
  const stamp = dependencyStamp(root);
  if (readText(stampFile) === stamp) return;
  if (!matchesLock(root)) {
    say("installing dependencies (npm ci)");
    const { ok, output } = await runCommand("npm", ["ci", "--ignore-scripts", "--no-fund", "--no-audit"], {
      cwd: root,
    });
    if (!ok) throw new SetupError(`npm ci failed:\n${output.trim()}`);
  }
  fs.writeFileSync(stampFile, stamp);
}

/** Prebuilt packages depend on the system; nothing here depends on the version of Node. */
function dependencyStamp(root) {
  const lock = fs.readFileSync(path.join(root, "package-lock.json"));
  return `${createHash("sha256").update(lock).digest("hex")} ${process.platform} ${process.arch}\n`;
}

/**
 * Whether npm's own record of what it installed has every package of the lock in its version: then somebody ran npm
 * by hand, and installing again would only take the packages away from running processes for a while.
 */
function matchesLock(root) {
  const wanted = readPackages(path.join(root, "package-lock.json"));
  const installed = readPackages(path.join(root, "node_modules", ".package-lock.json"));
  if (!wanted || !installed) return false;
  return Object.entries(wanted).every(([name, entry]) => {
    if (name === "") return true;
    const present = installed[name];
    if (!present) return entry.optional === true && !isForThisSystem(entry);
    return present.version === entry.version && fs.existsSync(path.join(root, name, "package.json"));
  });
}

/** Whether a package's `os`, `cpu` and `libc` name this system; one without them is for none in particular. */
function isForThisSystem(entry) {
  if (!entry.os && !entry.cpu) return false;
  const names = (list, value) => !list || list.includes(value);
  const fitsLibc = process.platform !== "linux" || names(entry.libc, libc());
  return names(entry.os, process.platform) && names(entry.cpu, process.arch) && fitsLibc;
}

function libc() {
  return fs.readdirSync("/lib").some((name) => name.startsWith("ld-musl-")) ? "musl" : "glibc";
}

function readPackages(file) {
  const text = readText(file);
  return text === undefined ? undefined : JSON.parse(text).packages;
}

function readText(file) {
  try {
    return fs.readFileSync(file, "utf8");
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}
