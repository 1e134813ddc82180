import { EXIT } from "../../../proto/errors.ts";
import { fetchDeliveries } from "../fetch-deliveries.ts";
import { formatTime } from "../output/format.ts";
import { shortType } from "../output/format-event.ts";
import type { VerbHandler } from "../verb-context.ts";
import { webhookPath } from "../webhook-path.ts";

/** Lists the newest attempts of a webhook. */
export const webhookDeliveries: VerbHandler<"webhook deliveries"> = async ({ args, flags, output, api }) => {
  const client = api();
  const items = await fetchDeliveries(
    client,
    await webhookPath(client, { org: flags.text("org"), id: args[0] }),
  );
  output.emit(items, () =>
    output.table(
      ["AT", "EVENT", "TYPE", "CURSOR", "ATTEMPT", "RESULT", "ANSWER", "MS", "NEXT"],
      items.map((delivery) => [
        formatTime(delivery.at),
        delivery.id,
        shortType(delivery),
        delivery.cursor ?? "",
        String(delivery.attempt),
        delivery.result,
        delivery.error ?? String(delivery.status ?? ""),
        String(delivery.duration_ms),
        formatTime(delivery.next_attempt_at),
      ]),
      "no deliveries yet",
      ["MS", "CURSOR", "ATTEMPT", "AT"],
    ),
  );
  return EXIT.ok;
};
