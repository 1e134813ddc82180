import { join } from "node:path";
import type { Contestant } from "../contestant.ts";
import { runTool } from "../run-tool.ts";
import { untar } from "./tar.ts";

const ENV = {
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_SYSTEM: "/dev/null",
  GIT_AUTHOR_NAME: "bench",
  GIT_AUTHOR_EMAIL: "bench@localhost",
  GIT_COMMITTER_NAME: "bench",
  GIT_COMMITTER_EMAIL: "bench@localhost",
};

export const GIT: Contestant = {
  name: "tar xzf + git add + git commit",
  note: "loose objects, not synced",
  isStore: true,
  needs: { programs: ["git", "tar"] },
  open: async ({ folder }) => {
    let work = "";
    const git = (...args: string[]) => runTool("git", ["-c", "gc.auto=0", ...args], { cwd: work, env: ENV });
    return {
      async begin(round) {
        work = join(folder, String(round));
        await runTool("git", ["init", "--quiet", work], { env: ENV });
      },
      async publish(archive) {
        await untar(archive, work);
        // Forced: packages bring .gitignore files of their own.
        await git("add", "--all", "--force");
        await git("commit", "--quiet", "--no-verify", "--message", "publish");
      },
    };
  },
};
