import type { ReleaseRecord } from "../../proto/records.ts";
import type { StateView } from "./state-db-tx.ts";
import { listReleases, type ProjectAt } from "./state-queries.ts";

/** Releases whose trees and layers count as "had before" (ruling 8). */
const BASE_RELEASES = 4;

/** What presence, "reused" and shortcuts of a project may look at: its recent releases that are kept, newest first. */
export function baseReleases(view: StateView, at: ProjectAt): ReleaseRecord[] {
  const { items } = listReleases(view, at, { limit: BASE_RELEASES });
  return items.filter((release) => release.state !== "retired");
}
