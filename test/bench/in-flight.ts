import { timed } from "./timed.ts";

/** Runs all of them, `limit` at a time. @returns ms */
export function inFlight(tasks: readonly (() => Promise<unknown>)[], limit: number): Promise<number> {
  let next = 0;
  const work = async (): Promise<void> => {
    for (let task = tasks[next++]; task !== undefined; task = tasks[next++]) await task();
  };
  return timed(() => Promise.all(Array.from({ length: limit }, work)));
}
