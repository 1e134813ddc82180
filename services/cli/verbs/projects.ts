import { EXIT } from "../../../proto/errors.ts";
import type { ProjectJson } from "../../../proto/http.ts";
import { formatTime } from "../output/format.ts";
import { printPage } from "../output/print-page.ts";
import { tokenOrg } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Lists the projects of an org. */
export const projects: VerbHandler<"projects"> = async ({ flags, output, api }) => {
  const client = api();
  const org = flags.text("org") ?? (await tokenOrg(client));
  const page = await client.list<ProjectJson>(
    `/v1/orgs/${encodeURIComponent(org)}/projects`,
    { cursor: flags.text("cursor") },
    flags.count("limit") ?? 50,
  );
  printPage(output, page, {
    header: ["PROJECT", "LIVE", "NEWEST", "GENERATION", "HELD", "CREATED"],
    empty: `no projects in ${org} yet; the first publish creates one`,
    row: (project) => [
      `${project.org}/${project.project}`,
      project.current ?? "-",
      project.last_version ?? "-",
      project.generation,
      project.held === null ? undefined : "held",
      formatTime(project.created_at),
    ],
  });
  return EXIT.ok;
};
