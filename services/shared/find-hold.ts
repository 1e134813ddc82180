import type { HoldRecord, ProjectRecord } from "../../proto/records.ts";
import type { StateView } from "./state-db-tx.ts";
import { KEYS } from "./state-keys.ts";
import { isHeld } from "./state-queries.ts";

/**
 * What keeps the project's publishes from going live at `timeMs`: its own hold, else that of its org, else that of the farm. Nothing
 * runs when a hold expires, so its end is compared here.
 */
export function findHold(
  view: Pick<StateView, "get">,
  project: ProjectRecord,
  timeMs: number,
): (HoldRecord & { readonly level: "project" | "org" | "farm" }) | undefined {
  const { org, hold } = project;
  if (hold !== undefined && isHeld(project, timeMs)) return { level: "project", ...hold };
  return findWiderHold(view, { org }, timeMs);
}

/** The hold of an org, else that of the farm; without `org` only that. */
export function findWiderHold(
  view: Pick<StateView, "get">,
  { org }: Partial<Pick<ProjectRecord, "org">>,
  timeMs: number,
): (HoldRecord & { readonly level: "org" | "farm" }) | undefined {
  const ofOrg = org === undefined ? undefined : view.get(KEYS.orgHold(org));
  if (ofOrg !== undefined && holds(ofOrg, timeMs)) return { level: "org", ...ofOrg };
  const ofFarm = view.get(KEYS.farmHold());
  return ofFarm !== undefined && holds(ofFarm, timeMs) ? { level: "farm", ...ofFarm } : undefined;
}

function holds(hold: HoldRecord, timeMs: number): boolean {
  return hold.until === undefined || Date.parse(hold.until) > timeMs;
}
