import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { runTool } from "./run-tool.ts";

/** The archive of a package's version as its registry has it, kept in the cache folder. @throws when npm cannot get it */
export async function fetchPackage(cacheFolder: string, name: string, version: string): Promise<string> {
  const folder = join(cacheFolder, "bench", "packages");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name.replace("@", "").replace("/", "-")}-${version}.tgz`);
  if (!existsSync(file))
    await runTool("npm", ["pack", `${name}@${version}`, "--silent", "--pack-destination", folder]);
  if (!existsSync(file)) throw new Error(`npm pack ${name}@${version} made no ${file}`);
  return file;
}
