import { previewOf } from "../../proto/channel.ts";
import type { ArtifactRecord, ReleaseRecord } from "../../proto/records.ts";
import { baseReleases } from "./base-releases.ts";
import type { StateView } from "./state-db-tx.ts";
import { findPreview, listPreviews, listPublishes, type ProjectAt } from "./state-queries.ts";

/** Newest publishes whose previews count: a pull request is pushed to again soon. */
const RECENT_PUBLISHES = 16;

/** What the project has that a publish need not send again: its recent releases, and the living previews published to lately. */
export function baseArtifacts(
  view: StateView,
  at: ProjectAt,
  releases: readonly ReleaseRecord[] = baseReleases(view, at),
): readonly ArtifactRecord[] {
  // Most projects have none: they are spared the look at their publishes.
  if (listPreviews(view, at, { limit: 1, all: true }).items.length === 0) return releases;
  const names = listPublishes(view, at, { limit: RECENT_PUBLISHES }).items.flatMap(
    ({ channel }) => previewOf(channel) ?? [],
  );
  const previews = [...new Set(names)].flatMap((name) => findPreview(view, at, name) ?? []);
  return [...releases, ...previews];
}
