import { join } from "node:path";

/** Folder that `--install-peers` installs npm packages into. */
export function peersFolder(cacheFolder: string): string {
  return join(cacheFolder, "bench", "peers");
}

/** The file to resolve their names from. */
export function peerModules(cacheFolder: string): string {
  return join(peersFolder(cacheFolder), "package.json");
}
