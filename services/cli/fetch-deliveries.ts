import type { Page } from "../../proto/http.ts";
import type { WebhookDelivery } from "../../proto/webhooks.ts";
import type { ApiClient } from "./http/api-client.ts";

/** The newest attempts of a webhook, newest first. @param path of the webhook */
export async function fetchDeliveries(api: ApiClient, path: string): Promise<readonly WebhookDelivery[]> {
  return (await api.get<Page<WebhookDelivery>>(`${path}/deliveries`)).items;
}
