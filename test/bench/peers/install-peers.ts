import { mkdirSync, writeFileSync } from "node:fs";
import { runProgram } from "../../helpers/run-program.ts";
import type { Contestant } from "../contestant.ts";
import { missingNeed } from "./missing-need.ts";
import { peerModules, peersFolder } from "./peer-modules.ts";

/** Debian's package of each program, where it has another name. */
const PACKAGE_OF: Readonly<Record<string, string>> = {
  borg: "borgbackup",
  sha256sum: "coreutils",
  xargs: "findutils",
};
const TIMEOUT_MS = 600_000;

/**
 * Gets what contestants need and is not there: programs with apt-get, as root; npm packages into the cache folder, their install scripts
 * not run. Never fails: what could not be got is said, and left out of the comparison.
 */
export async function installPeers(options: {
  contestants: readonly Contestant[];
  cacheFolder: string;
  say(line: string): void;
}): Promise<void> {
  const { contestants, cacheFolder, say } = options;
  const without = (needs: Contestant["needs"]) => missingNeed(needs, cacheFolder) !== undefined;
  const programs = contestants
    .flatMap(({ needs }) => needs.programs ?? [])
    .filter((program) => without({ programs: [program] }));
  if (programs.length > 0) await installPrograms([...new Set(programs)], say);
  const npm = contestants.flatMap(({ needs }) => needs.npm ?? []).filter((name) => without({ npm: [name] }));
  if (npm.length > 0) await installModules(npm, cacheFolder, say);
  for (const { name, needs } of contestants) {
    const missing = missingNeed(needs, cacheFolder);
    if (missing !== undefined) say(`${name} does not take part: ${missing}`);
  }
}

async function installPrograms(programs: readonly string[], say: (line: string) => void): Promise<void> {
  const packages = programs.map((program) => PACKAGE_OF[program] ?? program);
  if (process.getuid?.() !== 0) return say(`not root: install ${packages.join(", ")} yourself`);
  say(`installing ${packages.join(", ")} (apt-get)`);
  const apt = (...args: string[]) =>
    runProgram("apt-get", ["-q", "-y", "-o", "DPkg::Lock::Timeout=60", ...args], {
      env: { DEBIAN_FRONTEND: "noninteractive" },
      timeoutMs: TIMEOUT_MS,
    });
  await apt("update");
  // One by one: a package that does not exist here must not keep the others out.
  for (const name of packages) {
    const { code, stdout, stderr } = await apt("install", "--no-install-recommends", "--no-upgrade", name);
    if (code !== 0) say(`apt-get could not install ${name}: ${lastLine(stderr || stdout)}`);
  }
}

async function installModules(
  names: readonly string[],
  cacheFolder: string,
  say: (line: string) => void,
): Promise<void> {
  const folder = peersFolder(cacheFolder);
  mkdirSync(folder, { recursive: true });
  writeFileSync(peerModules(cacheFolder), JSON.stringify({ private: true }));
  say(`installing ${names.join(", ")} into ${folder} (npm)`);
  const flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder];
  for (const name of names) {
    const { code, stderr } = await runProgram("npm", ["install", ...flags, name], { timeoutMs: TIMEOUT_MS });
    if (code !== 0) say(`npm could not install ${name}: ${lastLine(stderr)}`);
  }
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}
