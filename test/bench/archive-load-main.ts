import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { publishReady } from "../helpers/farm-requests.ts";
import { clientOf } from "./bench-farm.ts";

/** The process of a load: a CI fleet shares no event loop with whoever measures. */

export interface LoadOrder {
  readonly url: string;
  readonly token: string;
  /** Files; they repeat. */
  readonly archives: readonly string[];
  readonly perSecond: number;
  /** Publishes under way at once, and projects; beyond it the load waits, and says so. */
  readonly atOnce: number;
}

/** What it says: each project has a release, and then, when it is asked to stop, how many a second it came to since. */
export type LoadMessage =
  | { readonly type: "steady" }
  | { readonly type: "stopped"; readonly perSecond: number };

const order = JSON.parse(process.argv[2] ?? "") as LoadOrder;
const farm = clientOf(order);
const archives = order.archives.map((file) => readFileSync(file));
const say = (message: LoadMessage) => process.send?.(message);

const publishOne = (number: number): Promise<unknown> =>
  publishReady(farm, `large-${number % order.atOnce}`, archives[number % archives.length] ?? Buffer.alloc(0));

for (let project = 0; project < order.atOnce; project++) await publishOne(project);

const startedMs = performance.now();
let begun = 0;
let published = 0;
const work = async (): Promise<never> => {
  for (;;) {
    const number = begun++;
    await sleep(Math.max(0, startedMs + (1000 * number) / order.perSecond - performance.now()));
    await publishOne(number);
    published += 1;
  }
};
process.once("message", () => {
  say({ type: "stopped", perSecond: (1000 * published) / (performance.now() - startedMs) });
  process.disconnect();
  process.exit();
});
say({ type: "steady" });
await Promise.all(Array.from({ length: order.atOnce }, work));
