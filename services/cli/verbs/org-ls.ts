import { EXIT } from "../../../proto/errors.ts";
import type { OrgJson } from "../../../proto/http-org.ts";
import { formatTime } from "../output/format.ts";
import { printPage } from "../output/print-page.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Lists the orgs of the farm. */
export const orgLs: VerbHandler<"org ls"> = async ({ flags, output, api }) => {
  const page = await api().list<OrgJson>(
    "/v1/orgs",
    { cursor: flags.text("cursor") },
    flags.count("limit") ?? 50,
  );
  printPage(output, page, {
    header: ["ORG", "MAX QUEUED", "CREATED", "BY"],
    empty: "no orgs",
    row: (org) => [org.org, org.settings.max_queued ?? "-", formatTime(org.created_at), org.created_by],
  });
  return EXIT.ok;
};
