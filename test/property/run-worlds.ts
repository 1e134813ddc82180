import type { TestContext } from "node:test";
import fc from "fast-check";
import { history } from "./pointer-operations.ts";
import { type Simulated, simulate } from "./simulate.ts";

/** Simulates so many histories. The seed is printed; `GRANARY_SEED` repeats them. @returns what took place in all of them */
export async function runWorlds(t: TestContext, numRuns: number): Promise<Simulated> {
  const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
  t.diagnostic(`GRANARY_SEED=${seed}`);
  let sum: Simulated = { commands: 0, acknowledged: 0, repeated: 0, crashes: 0 };
  await fc.assert(
    fc.asyncProperty(history, fc.nat(), async (steps, chance) => {
      const seen = await simulate(steps, chance);
      sum = {
        commands: sum.commands + seen.commands,
        acknowledged: sum.acknowledged + seen.acknowledged,
        repeated: sum.repeated + seen.repeated,
        crashes: sum.crashes + seen.crashes,
      };
    }),
    { numRuns, seed, verbose: 0 },
  );
  t.diagnostic(JSON.stringify({ histories: numRuns, ...sum }));
  return sum;
}
