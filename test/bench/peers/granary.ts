import { readFileSync } from "node:fs";
import { CLI_MAIN } from "../../helpers/cli.ts";
import type { TestFarm } from "../../helpers/farm.ts";
import { publishReady } from "../../helpers/farm-requests.ts";
import { startBenchFarm } from "../bench-farm.ts";
import type { Contestant } from "../contestant.ts";
import { runTool } from "../run-tool.ts";

/** What a CI job pays when its client runs already: from the request's first byte to `ready`. The farm has worked before. */
export const GRANARY_SERVICE = granary(
  "granary, long-lived farm, over HTTP",
  async ({ farm, project, archive }) => {
    await publishReady(farm, project, readFileSync(archive), { waitSeconds: 120 });
  },
);

/** What a CI job pays: a fresh `granary publish` into the same kind of farm, from its start to its exit. */
export const GRANARY_PROCESS = granary(
  "granary publish, a fresh process",
  async ({ farm, project, archive }) => {
    const place = ["--url", farm.url, "--token", farm.token, "--project", `default/${project}`];
    const said = await runTool(process.execPath, [CLI_MAIN, "publish", archive, "--json", ...place]);
    const { version, state } = JSON.parse(said) as { version?: string; state?: string };
    if (version === undefined || state !== "active")
      throw new Error(`granary publish said ${said.slice(0, 300)}`);
  },
);

function granary(
  name: string,
  publish: (options: { farm: TestFarm; project: string; archive: string }) => Promise<void>,
): Contestant {
  return {
    name,
    note: "image digest computed; synced",
    needs: {},
    open: async ({ folder, warmUp }) => {
      const farm = await startBenchFarm(folder);
      // Of a farm that has worked all day the code is compiled.
      for (const archive of warmUp) await publish({ farm, project: "warm-up", archive });
      let project = "";
      return {
        async begin(round) {
          project = `app-${round}`;
        },
        publish: (archive) => publish({ farm, project, archive }),
        close: async () => void (await farm.stop()),
      };
    },
  };
}
