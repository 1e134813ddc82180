/** Where a task's time went, in milliseconds by step. */
export interface TaskClock {
  readonly laps: Readonly<Record<string, number>>;
  /** Ends the step of that name; the next one begins. */
  lap(name: string): void;
}

export function startClock(): TaskClock {
  const laps: Record<string, number> = {};
  let last = performance.now();
  return {
    laps,
    lap: (name) => {
      const now = performance.now();
      laps[name] = Math.round((now - last) * 10) / 10;
      last = now;
    },
  };
}
