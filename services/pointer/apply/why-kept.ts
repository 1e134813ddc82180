import type { ReleaseRecord } from "../../../proto/records.ts";
import type { StateView } from "../../shared/state-db-tx.ts";

/** What uses a release, so that nobody can retire it; undefined: nothing does. The sweeper asks it too. */
export function whyKept(_view: StateView, release: ReleaseRecord): string | undefined {
  return release.state === "active" ? "it is live" : undefined;
}
