import { EXIT } from "../../../proto/errors.ts";
import type { WebhookJson } from "../../../proto/webhook-http.ts";
import { orgAndProject } from "../org-and-project.ts";
import type { VerbHandler } from "../verb-context.ts";
import { webhooksPath } from "../webhook-path.ts";

/** Adds an endpoint. Its signing secret is in this answer and nowhere else. */
export const webhookAdd: VerbHandler<"webhook add"> = async ({ args, flags, output, api, pasteable }) => {
  const { org, project } = orgAndProject(flags);
  const [types, format] = [flags.list("type"), flags.text("format")];
  const client = api();
  const path = await webhooksPath(client, org);
  const body = {
    url: args[0] ?? "",
    ...(project === undefined ? {} : { project }),
    ...(types.length === 0 ? {} : { types }),
    ...(format === undefined ? {} : { format }),
  };
  const webhook = await client.command<WebhookJson>("POST", path, body);
  output.emit(webhook, () => {
    output.line(`${webhook.id} ${webhook.secret ?? ""}`);
    output.note(`The signing secret is shown only now. Try it: ${pasteable("webhook", "test", webhook.id)}`);
  });
  return EXIT.ok;
};
