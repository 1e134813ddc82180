import { setTimeout as sleep } from "node:timers/promises";
import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { WebhookDelivery } from "../../../proto/webhooks.ts";
import { fetchDeliveries } from "../fetch-deliveries.ts";
import type { VerbHandler } from "../verb-context.ts";
import { webhookPath } from "../webhook-path.ts";

/** An attempt may take 15 s; the deliverer may be busy with an event. */
const PATIENCE_MS = 40_000;
const POLL_MS = 200;

/** Sends a ping and waits for what comes of it. */
export const webhookTest: VerbHandler<"webhook test"> = async ({ args, flags, output, api }) => {
  const client = api();
  const path = await webhookPath(client, { org: flags.text("org"), id: args[0] });
  const before = new Set((await fetchDeliveries(client, path)).map(({ id }) => id));
  await client.command<unknown>("POST", `${path}:test`, {});
  const deadline = performance.now() + PATIENCE_MS;
  let ping: WebhookDelivery | undefined;
  while (ping === undefined) {
    if (performance.now() > deadline)
      throw new GranaryError("TIMED_OUT", "the ping was not sent yet: does a process serve `hooks`?");
    await sleep(POLL_MS, undefined, { signal: client.signal });
    ping = (await fetchDeliveries(client, path)).find(({ id }) => id.startsWith("ping/") && !before.has(id));
  }
  const { result, status, error, duration_ms: ms } = ping;
  output.emit(ping, () => output.line(`${result}: ${error ?? `HTTP ${String(status)}`} in ${ms} ms`));
  return result === "delivered" ? EXIT.ok : EXIT.other;
};
