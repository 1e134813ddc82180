import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Contestant, OpenContestant } from "./contestant.ts";
import type { ArchivePair, Corpus } from "./corpus.ts";
import { missingNeed } from "./peers/missing-need.ts";
import { missingRow, type Reach, type Row, roundsRow, type Section, valueRow } from "./row.ts";
import { settle } from "./settle.ts";
import { timesFaster } from "./statistics.ts";
import { timed } from "./timed.ts";

interface Options {
  readonly folder: string;
  readonly corpus: Corpus;
  readonly rounds: number;
  /** Archives that a farm has taken in before. */
  readonly warmUp: readonly string[];
  readonly cacheFolder: string;
  /** The first is what the others are compared with. */
  readonly contestants: readonly Contestant[];
  /** One that took longer has no more rounds. */
  readonly limitMs: number;
  readonly title: string;
  /** Of `tar xzf`, warm. */
  readonly warmReach: number;
}

const STEPS = ["cold", "warm"] as const;

interface Result {
  readonly contestant: Contestant;
  /** Why it is not, or not fully, measured. */
  missing?: string;
  failed?: boolean;
  readonly cold: number[];
  readonly warm: number[];
}

/**
 * Archives of a tree that nobody has seen, and of the same tree with 1 % changed, taken in by everyone side by side: in every round
 * each contestant in turn, on the same two archives. One that fails is a row that says so; the others go on.
 */
export async function measureArchives(options: Options): Promise<Section[]> {
  const { folder, cacheFolder, corpus } = options;
  const results: Result[] = options.contestants.map((contestant) => ({ contestant, cold: [], warm: [] }));
  const running = new Map<Result, OpenContestant>();
  const attempt = async (result: Result, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      result.missing = `failed: ${error instanceof Error ? error.message : String(error)}`;
      result.failed = true;
    }
  };
  try {
    for (const [i, result] of results.entries()) {
      const missing = missingNeed(result.contestant.needs, cacheFolder);
      if (missing !== undefined) {
        result.missing = missing;
        continue;
      }
      const own = join(folder, `contestant-${i}`);
      mkdirSync(own, { recursive: true });
      const opened = { folder: own, cacheFolder, warmUp: options.warmUp };
      await attempt(result, async () => void running.set(result, await result.contestant.open(opened)));
    }
    for (let round = 0; round < options.rounds; round++) {
      const pair = corpus.pair(round);
      for (const [result, open] of running) {
        const isSpent = sum(result.cold) + sum(result.warm) > options.limitMs;
        if (isSpent || result.failed === true) continue;
        await attempt(result, () => oneRound({ open, result, round, pair, folder }));
      }
    }
  } finally {
    for (const open of running.values()) await open.close?.();
  }
  return sectionsOf(options, results);
}

async function oneRound({
  open,
  result,
  round,
  pair,
  folder,
}: {
  open: OpenContestant;
  result: Result;
  round: number;
  pair: ArchivePair;
  folder: string;
}): Promise<void> {
  await open.begin?.(round);
  for (const step of STEPS) {
    await open.prepare?.(pair[step]);
    settle(folder);
    result[step].push(await timed(() => open.publish(pair[step])));
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function sectionsOf({ title, warmReach }: Options, results: readonly Result[]): Section[] {
  return STEPS.map((step) => {
    const tar = results[0]?.[step] ?? [];
    const reach: Reach = { atLeast: warmReach, of: "timesTar" };
    const rows = results.map((result) => {
      const { contestant, missing } = result;
      if (missing !== undefined)
        return { ...missingRow(contestant.name, missing), failed: result.failed === true };
      const isOurs = contestant.name.startsWith("granary") && step === "warm";
      return roundsRow(contestant.name, result[step], {
        tar,
        ...(isOurs && contestant.name.includes("long-lived") && { reach }),
        ...(contestant.note !== undefined && { note: contestant.note }),
      });
    });
    return {
      title: `${title}, ${step === "cold" ? "cold: all of it new" : "warm: 1 % changed"}`,
      rows: step === "cold" ? [...rows, ...coldTargets(results)] : rows,
    };
  });
}

/** What the targets ask of cold archives: near `tar` with hashes, ahead of every other store. */
function coldTargets(results: readonly Result[]): Row[] {
  const ours = results.filter(({ contestant }) => contestant.name.startsWith("granary"));
  const hashing = results.find(({ contestant }) => contestant.name.includes("sha256sum"));
  const stores = results.filter(({ contestant, cold }) => contestant.isStore === true && cold.length > 0);
  return ours.flatMap(({ contestant: { name }, cold }) => {
    const against = (other: Result): number => timesFaster(cold, other.cold);
    const nearest = stores.reduce<Result | undefined>(
      (least, one) => (least === undefined || against(one) < against(least) ? one : least),
      undefined,
    );
    const rows: Row[] = [];
    if (hashing !== undefined && name.includes("long-lived"))
      rows.push(
        valueRow(`${name}, by ${hashing.contestant.name}`, against(hashing), "x", {
          reach: { atLeast: 0.9 },
        }),
      );
    if (nearest !== undefined)
      rows.push(
        valueRow(`${name}, by the fastest other store here`, against(nearest), "x", {
          reach: { atLeast: 1 },
          note: nearest.contestant.name,
        }),
      );
    return rows;
  });
}
