import { join } from "node:path";
import type { Contestant } from "../contestant.ts";
import { runTool } from "../run-tool.ts";
import { untar } from "./tar.ts";

export const RESTIC: Contestant = {
  name: "tar xzf + restic backup",
  note: "encrypts; synced",
  isStore: true,
  needs: { programs: ["restic", "tar"] },
  open: async ({ folder }) => {
    let repo = "";
    let next = 0;
    const env = { RESTIC_PASSWORD: "bench", RESTIC_CACHE_DIR: join(folder, "cache") };
    const restic = (args: readonly string[], cwd?: string) =>
      runTool("restic", ["--quiet", "--repo", repo, ...args], { env, ...(cwd !== undefined && { cwd }) });
    return {
      async begin(round) {
        repo = join(folder, `repo-${round}`);
        await restic(["init"]);
      },
      async publish(archive) {
        const tree = join(folder, `tree-${next++}`);
        await untar(archive, tree);
        await restic(["backup", "--host", "bench", "."], tree);
      },
    };
  },
};
