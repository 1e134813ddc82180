import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const NPM_LIMIT_MS = 20_000;

/** Fetches two versions of a package as npm packed them; undefined when npm has no registry to ask. */
export async function packPair(options: {
  name: string;
  versions: readonly string[];
  folder: string;
}): Promise<readonly string[] | undefined> {
  const target = join(options.folder, "packages");
  mkdirSync(target, { recursive: true });
  const specs = options.versions.map((version) => `${options.name}@${version}`);
  try {
    const args = ["pack", "--silent", "--pack-destination", target, ...specs];
    const { stdout } = await run("npm", args, { timeout: NPM_LIMIT_MS, cwd: options.folder });
    const files = stdout
      .trim()
      .split("\n")
      .filter((line) => line.endsWith(".tgz"));
    return files.length === specs.length ? files.map((file) => join(target, file)) : undefined;
  } catch {
    return undefined;
  }
}
