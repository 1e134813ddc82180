import { GranaryError } from "../../../proto/errors.ts";
import { ARCHIVE_LIMITS, type ArchiveLimits } from "../../../proto/limits.ts";
import { settingName } from "../../../proto/setting-name.ts";
import type { ApiClient } from "../http/api-client.ts";

/** The farm's archive limits, so that what it would refuse is refused here; the defaults where it does not tell. */
export async function fetchLimits(api: ApiClient): Promise<ArchiveLimits> {
  try {
    const { archive } = await api.get<{ archive?: Readonly<Record<string, unknown>> }>("/v1/limits");
    const known = Object.entries(ARCHIVE_LIMITS).map(([key, fallback]) => {
      const value = archive?.[settingName(key)];
      return [key, typeof value === "number" ? value : fallback];
    });
    return { ...ARCHIVE_LIMITS, ...Object.fromEntries(known) };
  } catch (error) {
    if (error instanceof GranaryError && (error.code === "NOT_FOUND" || error.code === "FORBIDDEN"))
      return ARCHIVE_LIMITS;
    throw error;
  }
}
