import { parseDurationMs } from "../../proto/duration.ts";
import { parseVersion } from "../../proto/names.ts";
import type { ProjectRecord, ReleaseRecord } from "../../proto/records.ts";
import { findHold } from "./find-hold.ts";
import { rollbackTarget } from "./rollback-target.ts";
import type { StateView } from "./state-db-tx.ts";
import { KEYS, RANGES } from "./state-keys.ts";

export interface RetentionRule {
  /** Whether this release stays. */
  keeps(release: ReleaseRecord): boolean;
  /** Whether this release and all newer ones stay, so that nobody has to look at those. */
  keepsFrom(release: ReleaseRecord): boolean;
}

/**
 * What a project's retention keeps at `nowMs`: the last N, what was made or live within the last D, and where a rollback would
 * go. Undefined: everything stays, because nobody said otherwise or the project is held (then somebody is deciding what to go
 * back to). Retiring cannot be undone, hence no default that retires.
 */
export function retentionRule(
  view: StateView,
  project: ProjectRecord,
  nowMs: number,
): RetentionRule | undefined {
  const { keep_last: last, keep_for } = project.settings.retention ?? {};
  if (last === undefined && keep_for === undefined) return undefined;
  if (findHold(view, project, nowMs) !== undefined) return undefined;
  const newest = last === undefined ? Number.POSITIVE_INFINITY : oldestOfNewest(view, project, last);
  const sinceMs = nowMs - (parseDurationMs(keep_for ?? "") ?? 0);
  const back = rollbackTarget(view, project)?.version;
  const keepsFrom = (release: ReleaseRecord): boolean =>
    numberOf(release) >= newest || (keep_for !== undefined && Date.parse(release.created_at) > sinceMs);
  return {
    keepsFrom,
    keeps: (release) =>
      keepsFrom(release) ||
      release.version === back ||
      (keep_for !== undefined && leftMs(view, release) > sinceMs),
  };
}

/** Number of the oldest of the `count` newest kept releases. */
function oldestOfNewest(view: StateView, project: ProjectRecord, count: number): number {
  let oldest = 0;
  let seen = 0;
  for (const { value: release } of view.range(RANGES.releases(project), { reverse: true })) {
    if (release.state === "retired") continue;
    oldest = numberOf(release);
    seen += 1;
    if (seen === count) return oldest;
  }
  return seen < count ? 0 : oldest;
}

/** When the release was last taken off; 0 when it was never live. */
function leftMs(view: StateView, release: ReleaseRecord): number {
  if (release.generation === undefined) return 0;
  const next = view.get(KEYS.history(release, release.generation + 1));
  return next === undefined ? Number.POSITIVE_INFINITY : Date.parse(next.at);
}

function numberOf(release: ReleaseRecord): number {
  return parseVersion(release.version) ?? 0;
}
