import type { DemoFarm } from "./demo-farm.ts";

/** More than a demo makes. */
const EVENTS_MAX = 10_000;

export interface DemoEvent {
  readonly type: string;
  readonly source: string;
  /** The version, of a release's. */
  readonly subject: string;
  readonly sequence: string;
}

/** All events from the first on. @throws Error when one of a project's is missing or there twice */
export async function readEvents(farm: DemoFarm): Promise<{ list: readonly DemoEvent[]; tookMs: number }> {
  const { stdout, tookMs } = await farm.run(["event", "ls", "--limit", String(EVENTS_MAX), "--json"]);
  const list = JSON.parse(stdout) as readonly DemoEvent[];
  const last = new Map<string, number>();
  for (const { source, sequence } of list) {
    const expected = (last.get(source) ?? 0) + 1;
    if (Number(sequence) !== expected)
      throw new Error(`the events of ${source} have ${sequence} where ${expected} belongs`);
    last.set(source, expected);
  }
  return { list, tookMs };
}
