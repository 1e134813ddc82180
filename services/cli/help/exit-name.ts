import { EXIT } from "../../../proto/errors.ts";

const NAMES: Readonly<Record<number, string>> = {
  [EXIT.ok]: "ok",
  [EXIT.other]: "other failure",
  [EXIT.manifest]: "manifest",
  [EXIT.store]: "store",
  [EXIT.usage]: "usage",
  [EXIT.unauthorized]: "not authorised",
  [EXIT.notFound]: "not found",
  [EXIT.conflict]: "conflict",
  [EXIT.archive]: "archive rejected",
  [EXIT.build]: "build failed",
  [EXIT.unavailable]: "unavailable",
  [EXIT.cancelled]: "cancelled",
  [EXIT.limit]: "limit or quota",
  [EXIT.overtaken]: "overtaken",
  [EXIT.timedOut]: "timed out, work goes on",
  [EXIT.mismatch]: "verification mismatch",
  [EXIT.interrupted]: "interrupted, detached",
};

/** What an exit code means, in a word or two. */
export function exitName(exit: number): string {
  return NAMES[exit] ?? "unknown";
}

/** All exit codes with their meanings, ascending. */
export function exitNames(): readonly (readonly [number, string])[] {
  return Object.entries(NAMES).map(([exit, name]) => [Number(exit), name]);
}
