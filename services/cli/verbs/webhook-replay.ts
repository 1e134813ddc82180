import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { VerbHandler } from "../verb-context.ts";
import { webhookPath } from "../webhook-path.ts";

/** Sends events again: all behind a cursor, or one. */
export const webhookReplay: VerbHandler<"webhook replay"> = async ({ args, flags, output, api }) => {
  const client = api();
  const [from, event] = [flags.text("from"), flags.text("event")];
  if ((from === undefined) === (event === undefined))
    throw new GranaryError("USAGE", "give --from CURSOR or --event CURSOR");
  const path = await webhookPath(client, { org: flags.text("org"), id: args[0] });
  const body = from === undefined ? { event } : { from: from === "start" ? "0-0" : from };
  await client.command<unknown>("POST", `${path}:replay`, body);
  output.emit(body, () =>
    output.line(
      from === undefined ? `event ${event ?? ""} is sent again` : `deliveries go on behind ${from}`,
    ),
  );
  return EXIT.ok;
};
