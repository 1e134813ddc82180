import { join } from "node:path";
import type { Contestant } from "../contestant.ts";
import { runTool } from "../run-tool.ts";

export const BORG: Contestant = {
  name: "borg import-tar",
  note: "synced",
  isStore: true,
  needs: { programs: ["borg"] },
  open: async ({ folder }) => {
    let repo = "";
    let next = 0;
    const env = { BORG_BASE_DIR: join(folder, "home"), BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: "yes" };
    return {
      async begin(round) {
        repo = join(folder, `repo-${round}`);
        await runTool("borg", ["init", "--encryption=none", repo], { env });
      },
      async publish(archive) {
        await runTool("borg", ["import-tar", `${repo}::app-${next++}`, archive], { env });
      },
    };
  },
};
