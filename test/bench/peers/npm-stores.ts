import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Contestant } from "../contestant.ts";
import { runTool } from "../run-tool.ts";
import { peerModules } from "./peer-modules.ts";

/** The content-addressed stores of package managers: a fresh Node process an archive, as with an install. */
function npmStore(options: { name: string; npm: string; main: string }): Contestant {
  const main = fileURLToPath(new URL(options.main, import.meta.url));
  return {
    name: options.name,
    note: "a Node process; not synced",
    isStore: true,
    needs: { npm: [options.npm] },
    open: async ({ folder, cacheFolder }) => {
      let store = "";
      return {
        async begin(round) {
          store = join(folder, String(round));
        },
        async publish(archive) {
          const said = await runTool(process.execPath, [main, peerModules(cacheFolder), store, archive]);
          if (Number(said) < 1) throw new Error(`${options.name} took in no file`);
        },
      };
    },
  };
}

export const PNPM_STORE = npmStore({
  name: "pnpm's store (addFilesFromTarball)",
  npm: "@pnpm/store.cafs",
  main: "pnpm-store-main.js",
});

export const CACACHE = npmStore({
  name: "tar reader + cacache.put of every file",
  npm: "cacache",
  main: "cacache-main.js",
});
