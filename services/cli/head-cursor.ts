import { behindCommand, formatCursor } from "../../proto/events.ts";
import type { AuditJson, Page } from "../../proto/http.ts";
import type { ApiClient, Query } from "./http/api-client.ts";
import { tokenOrg } from "./references.ts";

/**
 * The cursor of "now" in an org's event feed: behind its newest audited command. Every command is audited in the transaction
 * that writes its events, so nothing that happens from here on is missed.
 */
export async function headCursor(api: ApiClient, query: Query): Promise<string> {
  const org = query["org"] ?? (await tokenOrg(api));
  const page = await api.get<Page<AuditJson>>(`/v1/orgs/${encodeURIComponent(org)}/audit`, {
    project: query["project"],
    limit: 1,
  });
  return formatCursor(behindCommand(page.items[0]?.seq ?? 0));
}
