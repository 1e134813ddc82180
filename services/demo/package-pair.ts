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
    const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", target, ...specs], {
      timeout: NPM_LIMIT_MS,
      cwd: options.folder,
    });
    return packedFiles(stdout, specs).map((file) => join(target, file));
  } catch {
    return undefined;
  }
}

/** npm 11 and older print a list, later ones an object by spec; both name the file. */
function packedFiles(stdout: string, specs: readonly string[]): string[] {
  const parsed = JSON.parse(stdout) as Record<string, { filename: string; id: string }>;
  const packed = Object.values(parsed);
  return specs.map((spec) => packed.find((entry) => entry.id === spec)?.filename ?? "");
}
