import { join } from "node:path";
import type { Bench } from "./bench.ts";
import { largeCorpus } from "./large-corpus.ts";
import { measureArchives } from "./measure-archives.ts";
import { measureCost } from "./measure-cost.ts";
import { CONTESTANTS } from "./peers/all.ts";
import type { Section } from "./row.ts";

/** Each round is two archives of hundreds of MB for every contestant. */
const ROUNDS = 3;
const LIMIT_MS = 60_000;

/** As for the small corpus, with a tree of the size of a large application. */
export async function measureLarge(bench: Bench): Promise<Section[]> {
  const corpus = await largeCorpus(join(bench.folder, "corpus"), bench.cacheFolder);
  const rounds = Math.min(ROUNDS, bench.rounds);
  const size = `${corpus.files} files, ${(corpus.bytes / 1e6).toFixed(0)} MB`;
  const title = `Large archive (${size})`;
  const options = { ...bench, corpus, rounds, contestants: CONTESTANTS, limitMs: LIMIT_MS, warmReach: 1.3 };
  return [
    ...(await measureArchives({ ...options, title })),
    await measureCost({
      ...bench,
      corpus,
      rounds: 1,
      title: `What a large archive publish costs (${size})`,
    }),
  ];
}
