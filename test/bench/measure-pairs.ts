import { readFileSync } from "node:fs";
import { join } from "node:path";
import { publishReady } from "../helpers/farm-requests.ts";
import type { Bench } from "./bench.ts";
import { withBenchFarm } from "./bench-farm.ts";
import { fetchPackage } from "./fetch-package.ts";
import { untar } from "./peers/tar.ts";
import { missingRow, type Row, roundsRow, type Section } from "./row.ts";
import { settle } from "./settle.ts";
import { timed } from "./timed.ts";

/** Consecutive versions of packages, as their authors published them. */
const PAIRS = [
  ["date-fns", "4.0.0", "4.1.0"],
  ["typescript", "5.6.2", "5.6.3"],
  ["next", "14.2.14", "14.2.15"],
] as const;

/** A farm a round: three minutes at nine. */
const ROUNDS = 5;

/** The later of two real versions, published where the earlier one is known, beside `tar xzf` of it. */
export async function measurePairs({ folder, warmUp, rounds, cacheFolder }: Bench): Promise<Section> {
  const rows: Row[] = [];
  for (const [name, from, to] of PAIRS) {
    const what = `${name} ${from} -> ${to}`;
    const archives = await Promise.all(
      [from, to].map((version) => fetchPackage(cacheFolder, name, version)),
    ).catch((error: unknown) => String(error));
    if (typeof archives === "string") {
      rows.push(missingRow(what, `could not be fetched: ${archives.slice(0, 200)}`));
      continue;
    }
    const [before = "", after = ""] = archives;
    const tar: number[] = [];
    const ours: number[] = [];
    for (let round = 0; round < Math.min(rounds, ROUNDS); round++) {
      const own = join(folder, `${name}-${round}`);
      settle(folder);
      tar.push(await timed(() => untar(after, join(own, "tar"))));
      await withBenchFarm(own, [], async (farm) => {
        for (const file of warmUp)
          await publishReady(farm, "warm-up", readFileSync(file), { waitSeconds: 120 });
        await publishReady(farm, "app", readFileSync(before), { waitSeconds: 120 });
        settle(folder);
        const body = readFileSync(after);
        ours.push(await timed(() => publishReady(farm, "app", body, { waitSeconds: 120 })));
      });
    }
    rows.push(roundsRow(`${what}: tar xzf`, tar), roundsRow(`${what}: published over HTTP`, ours, { tar }));
  }
  return {
    title: "Real versions of packages, the earlier one known",
    rows,
    notes: [`A fresh farm each round, which has published ${warmUp.length} other archives before.`],
  };
}
