import { parseDurationMs } from "../../../proto/duration.ts";
import type { PreviewRecord, ProjectRecord } from "../../../proto/records.ts";

/** How long a preview lives that nothing else is said about. Part of what old logs mean: it never changes. */
const PREVIEW_TTL_MS = 72 * 3_600_000;

/** Time to live after a publish: the one asked for, else the living preview's own, else the project's default. */
export function previewTtlMs(of: {
  asked: number | undefined;
  preview: PreviewRecord | undefined;
  project: ProjectRecord;
}): number {
  const { asked, preview, project } = of;
  if (asked !== undefined) return asked;
  if (preview?.state === "ready") return preview.ttl_ms;
  return parseDurationMs(project.settings.default_ttl ?? "") ?? PREVIEW_TTL_MS;
}
