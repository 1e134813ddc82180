import { EXIT } from "../../../proto/errors.ts";
import type { WebhookJson } from "../../../proto/webhook-http.ts";
import { formatTime } from "../output/format.ts";
import { printPage } from "../output/print-page.ts";
import type { VerbHandler } from "../verb-context.ts";
import { webhooksPath } from "../webhook-path.ts";

/** Lists the webhooks of an org. */
export const webhookLs: VerbHandler<"webhook ls"> = async ({ flags, output, api }) => {
  const client = api();
  const page = await client.list<WebhookJson>(
    await webhooksPath(client, flags.text("org")),
    { cursor: flags.text("cursor") },
    flags.count("limit") ?? 50,
  );
  printPage(output, page, {
    header: ["ID", "URL", "PROJECT", "TYPES", "FORMAT", "STATE", "CREATED"],
    spare: ["CREATED", "FORMAT", "PROJECT"],
    empty: "no webhooks",
    row: (webhook) => [
      webhook.id,
      webhook.url,
      webhook.project ?? "all",
      webhook.types.length === 0 ? "all" : webhook.types.join(","),
      webhook.format,
      webhook.enabled ? "enabled" : `disabled: ${webhook.disabled_reason ?? "by hand"}`,
      formatTime(webhook.created_at),
    ],
  });
  return EXIT.ok;
};
