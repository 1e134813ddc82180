import { join } from "node:path";
import type { Contestant } from "../contestant.ts";
import { runTool } from "../run-tool.ts";

export const OSTREE: Contestant = {
  name: "ostree commit --tree=tar",
  note: "synced",
  isStore: true,
  needs: { programs: ["ostree"] },
  open: async ({ folder }) => {
    let repo = "";
    return {
      async begin(round) {
        repo = join(folder, String(round));
        await runTool("ostree", ["init", `--repo=${repo}`, "--mode=bare-user"]);
      },
      async publish(archive) {
        const tree = ["--branch=app", `--tree=tar=${archive}`, "--tar-autocreate-parents"];
        await runTool("ostree", ["commit", `--repo=${repo}`, "--no-bindings", ...tree]);
      },
    };
  },
};
