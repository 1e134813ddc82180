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
  const closing = new AbortController();
  const response = await farm.fetch(`/v1/events?project=${project}&cursor=${body.cursor}`, {
    headers: { accept: "text/event-stream" },
    signal: closing.signal,
  });
  if (response.status !== 200 || response.body === null) throw new Error(await response.text());
  const heard: number[] = [];
  let wake: (() => void) | undefined;
  const follow = async (stream: AsyncIterable<Uint8Array>): Promise<void> => {
    let text = "";
    for await (const chunk of stream) {
      text += Buffer.from(chunk).toString("utf8");
      const events = text.split("\n\n");
      text = events.pop() ?? "";
      for (const event of events)
        if (/^event: release\.activated$/m.test(event)) heard.push(performance.now());
      wake?.();
    }
  };
  follow(response.body).catch(() => undefined);
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
    close: () => closing.abort(),
  };
}
