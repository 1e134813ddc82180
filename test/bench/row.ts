import { median, spread, timesFaster } from "./statistics.ts";

/** A line of the report: one thing that was measured. */
export interface Row {
  readonly what: string;
  /** Absent: it could not be measured, and `note` says why. */
  readonly value?: number;
  readonly unit: string;
  /** Of the rounds that `value` is the median of. */
  readonly spread?: number;
  readonly rounds?: number;
  /** Median of `tar xzf` of the same archives in the same run by ours: above 1 we are faster. */
  readonly timesTar?: number;
  readonly reach?: Reach;
  readonly note?: string;
  /** What was measured did not do its work: the run is no success. */
  readonly failed?: boolean;
}

/** What a row has to reach; of `timesTar` where `of` says so. */
export interface Reach {
  readonly atMost?: number;
  readonly atLeast?: number;
  readonly of?: "timesTar";
}

export interface Section {
  readonly title: string;
  readonly rows: readonly Row[];
  readonly notes?: readonly string[];
}

interface More {
  readonly unit?: string;
  readonly tar?: readonly number[];
  readonly reach?: Reach;
  readonly note?: string;
}

/** The median of rounds, in ms unless told otherwise. */
export function roundsRow(
  what: string,
  values: readonly number[],
  { unit = "ms", tar, reach, note }: More = {},
): Row {
  return {
    what,
    value: median(values),
    unit,
    spread: spread(values),
    rounds: values.length,
    ...(tar !== undefined && { timesTar: timesFaster(values, tar) }),
    ...(reach !== undefined && { reach }),
    ...(note !== undefined && { note }),
  };
}

export function valueRow(
  what: string,
  value: number,
  unit: string,
  more: Omit<More, "tar" | "unit"> = {},
): Row {
  return { what, value, unit, ...more };
}

export function missingRow(what: string, why: string): Row {
  return { what, unit: "", note: why };
}

/** undefined: nothing to reach, or nothing measured. */
export function isReached({ value, timesTar, reach }: Row): boolean | undefined {
  const measured = reach?.of === "timesTar" ? timesTar : value;
  if (reach === undefined || measured === undefined) return undefined;
  return measured <= (reach.atMost ?? Number.POSITIVE_INFINITY) && measured >= (reach.atLeast ?? 0);
}
