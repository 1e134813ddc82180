import { join } from "node:path";
import { startTestFarm, type TestFarm } from "../helpers/farm.ts";
import { leanFetch } from "./lean-fetch.ts";

/** A farm of its own below `folder`, which has to be new. Its clients are lean. */
export async function startBenchFarm(folder: string, args: readonly string[] = []): Promise<TestFarm> {
  const farm = await startTestFarm({ data: join(folder, "data"), args, env: { GRANARY_LOG: "error" } });
  return { ...farm, ...clientOf(farm) };
}

/** A client of a farm, of which any process can make one. */
export function clientOf({ url, token }: Pick<TestFarm, "url" | "token">): Pick<TestFarm, "fetch"> {
  const lean = leanFetch();
  return {
    fetch: (path, { token: other = token, headers, ...init } = {}) =>
      lean(`${url}${path}`, {
        ...init,
        headers: { authorization: `Bearer ${other}`, ...(headers as Record<string, string>) },
      }),
  };
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
