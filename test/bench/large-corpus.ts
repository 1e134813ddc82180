import { join } from "node:path";
import { type Corpus, corpusOf } from "./corpus.ts";
import { fetchPackage } from "./fetch-package.ts";
import { untar } from "./peers/tar.ts";

/** About 18,000 files and 215 MB of what applications bring along. */
const PACKAGES = [
  ["aws-cdk-lib", "2.160.0"],
  ["next", "14.2.15"],
  ["typescript", "5.6.3"],
  ["date-fns", "4.1.0"],
] as const;

/** Fetched with npm on the first time. `folder` is made. @throws when a package cannot be had */
export async function largeCorpus(folder: string, cacheFolder: string): Promise<Corpus> {
  for (const [name, version] of PACKAGES)
    await untar(await fetchPackage(cacheFolder, name, version), join(folder, "tree", "node_modules", name));
  return corpusOf(`large: ${PACKAGES.map((one) => one.join("@")).join(", ")}`, folder);
}
