import { parseVersion } from "../../proto/names.ts";
import type { ReleaseRecord } from "../../proto/records.ts";
import type { StateView } from "./state-db-tx.ts";
import { KEYS } from "./state-keys.ts";

/** What uses a release, so that nobody can retire it; undefined: nothing does. The sweeper asks it too. */
export function whyKept(view: StateView, release: ReleaseRecord): string | undefined {
  if (release.state === "active") return "it is live";
  const sessions = view.get(KEYS.sessionPins(release, parseVersion(release.version) ?? 0)) ?? 0;
  if (sessions > 0) return sessions === 1 ? "1 session runs it" : `${sessions} sessions run it`;
  return undefined;
}
