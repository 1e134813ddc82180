import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Contestant } from "../contestant.ts";
import { runTool } from "../run-tool.ts";

/** The floor: bytes on the disk, nothing known about them, nothing synced. */
export const TAR: Contestant = {
  name: "tar xzf",
  note: "not synced",
  needs: { programs: ["tar"] },
  open: async ({ folder }) => {
    let next = 0;
    return {
      publish: async (archive) => void (await untar(archive, join(folder, String(next++)))),
    };
  },
};

export const TAR_AND_HASHES: Contestant = {
  name: "tar xzf + sha256sum of every file",
  note: "not synced",
  needs: { programs: ["tar", "sha256sum", "xargs"] },
  open: async ({ folder }) => {
    let next = 0;
    return {
      async publish(archive) {
        const target = join(folder, String(next++));
        await untar(archive, target);
        await runTool("sh", ["-c", 'find "$0" -type f -print0 | xargs -0 sha256sum > "$0.sums"', target]);
      },
    };
  },
};

/** Extracts into `target`, which is made if need be. */
export async function untar(archive: string, target: string): Promise<void> {
  mkdirSync(target, { recursive: true });
  await runTool("tar", ["xzf", archive, "-C", target]);
}
