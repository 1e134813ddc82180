import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { WebhookJson } from "../../../proto/webhook-http.ts";
import type { VerbHandler } from "../verb-context.ts";
import { webhookPath } from "../webhook-path.ts";

/** Changes a webhook; enabled again, it goes on where it was. */
export const webhookSet: VerbHandler<"webhook set"> = async ({ args, flags, output, api }) => {
  const client = api();
  if (flags.has("enable") && flags.has("disable"))
    throw new GranaryError("USAGE", "--enable and --disable exclude each other");
  const [url, types, format] = [flags.text("to"), flags.list("type"), flags.text("format")];
  const body = {
    ...(url === undefined ? {} : { url }),
    ...(types.length === 0 ? {} : { types: types.includes("all") ? [] : types }),
    ...(format === undefined ? {} : { format }),
    ...(flags.has("enable") ? { enabled: true } : {}),
    ...(flags.has("disable") ? { enabled: false } : {}),
    ...(flags.has("rotate-secret") ? { rotate_secret: true } : {}),
  };
  if (Object.keys(body).length === 0) throw new GranaryError("USAGE", "nothing to change was given");
  const path = await webhookPath(client, { org: flags.text("org"), id: args[0] });
  const webhook = await client.command<WebhookJson>("PATCH", path, body);
  output.emit(webhook, () => {
    output.line(`${webhook.id} is ${webhook.enabled ? "enabled" : "disabled"}`);
    if (webhook.secret === undefined) return;
    output.line(webhook.secret);
    output.note("The new signing secret is shown only now; the old one is not used any more.");
  });
  return EXIT.ok;
};
