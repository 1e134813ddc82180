import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import type { TestFarm } from "../helpers/farm.ts";
import { send } from "../helpers/farm-requests.ts";

export interface Subscriber {
  /** When the next activation was heard of that no other call was answered with, by `performance.now()`. */
  next(): Promise<number>;
  close(): void;
}

const LIMIT_MS = 30_000;

/** Follows the activations of a project from now on, over SSE. */
export async function subscribe(farm: TestFarm, project: string): Promise<Subscriber> {
  const { body } = await send<{ cursor: string }>(farm, `/v1/events/snapshot?project=${project}`);
  // No streams of the web on the way, which would cost the client more than the event costs the farm.
  const asking = get(`${farm.url}/v1/events?project=${project}&cursor=${body.cursor}`, {
    headers: { accept: "text/event-stream", authorization: `Bearer ${farm.token}` },
  });
  const [answer] = (await once(asking, "response")) as [IncomingMessage];
  if (answer.statusCode !== 200) throw new Error(`events were answered ${answer.statusCode}`);
  const heard: number[] = [];
  let wake: (() => void) | undefined;
  let text = "";
  answer.setEncoding("utf8").on("data", (chunk: string) => {
    const events = (text + chunk).split("\n\n");
    text = events.pop() ?? "";
    for (const event of events) if (/^event: release\.activated$/m.test(event)) heard.push(performance.now());
    wake?.();
  });
  return {
    async next() {
      const deadline = performance.now() + LIMIT_MS;
      while (heard.length === 0) {
        if (performance.now() > deadline) throw new Error("the event of an activation did not arrive");
        await new Promise<void>((resolve) => {
          wake = resolve;
          setTimeout(resolve, LIMIT_MS).unref();
        });
      }
      return heard.shift() ?? Number.NaN;
    },
    close: () => answer.destroy(),
  };
}
