import { EXIT } from "../../../proto/errors.ts";
import type { AuditJson } from "../../../proto/http.ts";
import { parseName } from "../../../proto/names.ts";
import { formatTime } from "../output/format.ts";
import { printPage } from "../output/print-page.ts";
import { findProject, tokenOrg } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Lists who did what, refused attempts included, newest first. */
export const audit: VerbHandler<"audit"> = async ({ args, flags, output, api }) => {
  const client = api();
  const text = args[0];
  const { org, project } =
    text === undefined
      ? { org: await tokenOrg(client), project: undefined }
      : text.includes("/")
        ? await findProject(client, text)
        : { org: parseName(text, "org"), project: undefined };
  const page = await client.list<AuditJson>(
    `/v1/orgs/${org}/audit`,
    { project, cursor: flags.text("cursor") },
    flags.count("limit") ?? 50,
  );
  printPage(output, page, {
    header: ["TIME", "ACTION", "PROJECT", "RESOURCE", "ACTOR", "RESULT", "REASON"],
    empty: "no audit rows",
    row: (row) => [
      formatTime(row.at),
      row.action,
      project === undefined ? row.project : undefined,
      row.resource,
      row.actor,
      row.ok ? "ok" : `refused${row.code === undefined ? "" : `: ${row.code}`}`,
      row.reason,
    ],
  });
  return EXIT.ok;
};
