import { GranaryError } from "../../proto/errors.ts";
import type { ApiClient } from "./http/api-client.ts";
import { tokenOrg } from "./references.ts";

/** `/v1/orgs/O/webhooks`. @param org the token's when not given */
export async function webhooksPath(api: ApiClient, org: string | undefined): Promise<string> {
  return `/v1/orgs/${encodeURIComponent(org ?? (await tokenOrg(api)))}/webhooks`;
}

/** @throws GranaryError USAGE */
export async function webhookPath(
  api: ApiClient,
  of: { org: string | undefined; id: string | undefined },
): Promise<string> {
  if (of.id === undefined || of.id === "")
    throw new GranaryError("USAGE", "which webhook? See `granary webhook ls`");
  return `${await webhooksPath(api, of.org)}/${encodeURIComponent(of.id)}`;
}
