import { EXIT } from "../../../proto/errors.ts";
import type { WhoamiJson } from "../../../proto/http.ts";
import { formatTime } from "../output/format.ts";
import { printFields } from "../output/print-fields.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Shows what the token is. */
export const whoami: VerbHandler<"whoami"> = async ({ output, api, settings }) => {
  const who = await api().get<WhoamiJson>("/v1/whoami");
  output.emit(who, () =>
    printFields(output, [
      ["token", who.token_id],
      ["org", who.org],
      ["project", who.project],
      ["scopes", who.scopes.join(", ")],
      ["expires", who.expires_at === null ? "never" : formatTime(who.expires_at)],
      ["farm", settings().url.value],
      ["from", settings().token?.source],
    ]),
  );
  return EXIT.ok;
};
