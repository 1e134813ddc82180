import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { MaterializedJson } from "../../proto/http.ts";
import type { TestFarm } from "../helpers/farm.ts";
import { projectUrl, publishReady } from "../helpers/farm-requests.ts";
import type { Bench } from "./bench.ts";
import { withBenchFarm } from "./bench-farm.ts";
import { roundsRow, type Section } from "./row.ts";
import { settle } from "./settle.ts";

/** Projects whose first root is made, and later roots that nobody measures: of a farm that has worked all day the code is compiled. */
const FIRST = 3;
const WARM_UP = 3;

/** A release as a folder on the farm's disk: the first of a project, then ones of which 99 % lie in the newest other one. */
export async function measureMaterialize({ folder, corpus, changed, rounds }: Bench): Promise<Section> {
  return withBenchFarm(join(folder, "materialize"), [], async (farm) => {
    const cold: number[] = [];
    const unchanged: number[] = [];
    const written: number[] = [];
    for (let number = 1; number <= FIRST; number++) {
      const project = `app-${number}`;
      await publishReady(farm, project, readFileSync(corpus.archive));
      settle(folder);
      const { answer, tookMs } = await materialize(farm, project, "v1");
      cold.push((1000 * tookMs) / answer.files);
    }
    for (const [round, archive] of changed.slice(0, WARM_UP + rounds).entries()) {
      const { version } = await publishReady(farm, "app-1", readFileSync(archive));
      settle(folder);
      const { answer, tookMs } = await materialize(farm, "app-1", version ?? "");
      if (answer.linked === 0) throw new Error(`round ${round} shared no file with the root before it`);
      if (round < WARM_UP) continue;
      unchanged.push((1000 * tookMs) / answer.linked);
      written.push(answer.written);
    }
    return {
      title: "Materialize on the farm's disk",
      rows: [
        roundsRow("first root of a project, a file", cold, { unit: "us" }),
        roundsRow("a root with 1 % changed, an unchanged file", unchanged, {
          unit: "us",
          reach: { atMost: 10 },
          note: `the ${Math.max(...written)} changed files are in it`,
        }),
      ],
    };
  });
}

async function materialize(
  farm: TestFarm,
  project: string,
  version: string,
): Promise<{ answer: MaterializedJson; tookMs: number }> {
  const startedMs = performance.now();
  const answer = await farm.json<MaterializedJson>(`${projectUrl(project)}/releases/${version}:materialize`, {
    method: "POST",
  });
  const tookMs = performance.now() - startedMs;
  if (answer.existing) throw new Error(`the root of ${version} was there already`);
  return { answer, tookMs };
}
