import { GranaryError } from "../../proto/errors.ts";
import type { ProjectRecord } from "../../proto/records.ts";

/**
 * Why the project takes no publish of `bytes` now; undefined: it does. What will come of an archive is known only when it has been read,
 * so that a publish which begins below the quota may end above it; the next one is refused.
 */
export function overQuota(project: ProjectRecord, bytes: number): GranaryError | undefined {
  const { kept_bytes: kept = 0, settings } = project;
  const limit = settings.quota_bytes ?? undefined;
  if (limit === undefined || (kept < limit && kept + bytes <= limit)) return undefined;
  return new GranaryError(
    "QUOTA_EXCEEDED",
    `${project.org}/${project.project} keeps ${kept} bytes, its quota is ${limit}`,
    { actual: kept + bytes, limit },
  );
}
