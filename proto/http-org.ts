import { z } from "zod";
import { LIMITS } from "./limits.ts";
import type { OrgSettings } from "./records.ts";

/** Shapes of the HTTP API about orgs, as proto/http.ts has the others. */
export interface OrgJson {
  readonly org: string;
  readonly settings: OrgSettings;
  readonly created_at: string;
  readonly created_by: string;
}

export const OrgSettingsBody = z.strictObject({
  /** null: the farm's own limit. */
  max_queued: z.int().min(0).max(LIMITS.queuedPublishesPerOrg).nullable().optional(),
});
/** `POST /v1/orgs`. */
export const OrgBody = z.strictObject({ org: z.string(), settings: OrgSettingsBody.optional() });
