import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TestFarm } from "../helpers/farm.ts";
import { publishReady } from "../helpers/farm-requests.ts";
import { withBenchFarm } from "./bench-farm.ts";
import type { Corpus } from "./corpus.ts";
import { farmUsage, peakMemory, resetPeakMemory, usageSince } from "./farm-usage.ts";
import { roundsRow, type Section } from "./row.ts";
import { smallApp } from "./small-app.ts";

/** What an archive costs a farm of one thread beside time: CPU, writes and memory. */
export async function measureCost(options: {
  folder: string;
  corpus: Corpus;
  warmUp: readonly string[];
  rounds: number;
  title: string;
}): Promise<Section> {
  return withBenchFarm(join(options.folder, "cost"), ["--threads", "1"], async (farm) => {
    for (let i = 0; i < 20; i++) await publishReady(farm, "small", smallApp(i));
    const restBytes = resetPeakMemory(farm);
    for (const file of options.warmUp)
      await publishReady(farm, "warm-up", readFileSync(file), { waitSeconds: 120 });
    const cold: Cost[] = [];
    const warm: Cost[] = [];
    for (let round = 0; round < options.rounds; round++) {
      const pair = options.corpus.pair(1_000 + round);
      cold.push(await cost(farm, pair.cold, { round, restBytes, newBytes: pair.coldBytes }));
      warm.push(await cost(farm, pair.warm, { round, restBytes, newBytes: pair.warmBytes }));
    }
    return {
      title: options.title,
      rows: [
        roundsRow(
          "CPU of the farm, cold",
          cold.map(({ cpuMs }) => cpuMs),
          { unit: "ms CPU" },
        ),
        roundsRow(
          "CPU of the farm, warm",
          warm.map(({ cpuMs }) => cpuMs),
          { unit: "ms CPU" },
        ),
        roundsRow(
          "written to disk by new content, cold",
          cold.map(({ writtenBy }) => writtenBy),
          {
            unit: "x",
            note: "the upload, kept until its publish has ended, is in it",
          },
        ),
        roundsRow(
          "written to disk by new content, warm",
          warm.map(({ writtenBy }) => writtenBy),
          { unit: "x", note: "mostly the upload" },
        ),
        roundsRow(
          "memory above the farm's at rest, cold",
          cold.map(({ memory }) => memory),
          {
            unit: "MB",
            reach: { atMost: 150 },
          },
        ),
        roundsRow(
          "memory above the farm's at rest, warm",
          warm.map(({ memory }) => memory),
          {
            unit: "MB",
            reach: { atMost: 150 },
          },
        ),
      ],
      notes: [
        `One thread; peak resident memory less that after twenty small publishes; ${options.warmUp.length} archives between them and the first round.`,
      ],
    };
  });
}

interface Cost {
  readonly cpuMs: number;
  /** Bytes to disk by bytes of new content. */
  readonly writtenBy: number;
  /** MB */
  readonly memory: number;
}

async function cost(
  farm: TestFarm,
  archive: string,
  { round, restBytes, newBytes }: { round: number; restBytes: number; newBytes: number },
): Promise<Cost> {
  const body = readFileSync(archive);
  resetPeakMemory(farm);
  const before = farmUsage(farm);
  await publishReady(farm, `app-${round}`, body, { waitSeconds: 120 });
  const { cpuMs, writtenBytes } = usageSince(farm, before);
  return { cpuMs, writtenBy: writtenBytes / newBytes, memory: (peakMemory(farm) - restBytes) / 1e6 };
}
