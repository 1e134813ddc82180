import { join } from "node:path";
import { startTestFarm, type TestFarm } from "../helpers/farm.ts";

/** A farm of its own below `folder`, which has to be new. */
export function startBenchFarm(folder: string, args: readonly string[] = []): Promise<TestFarm> {
  return startTestFarm({ data: join(folder, "data"), args, env: { GRANARY_LOG: "error" } });
}

/** Runs `body` with a farm that is stopped afterwards. */
export async function withBenchFarm<T>(
  folder: string,
  args: readonly string[],
  body: (farm: TestFarm) => Promise<T>,
): Promise<T> {
  const farm = await startBenchFarm(folder, args);
  try {
    return await body(farm);
  } finally {
    await farm.stop();
  }
}
