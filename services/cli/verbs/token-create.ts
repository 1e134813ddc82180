import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { TokenJson } from "../../../proto/http.ts";
import { SCOPES } from "../../../proto/records.ts";
import { orgAndProject } from "../org-and-project.ts";
import { formatTime } from "../output/format.ts";
import { tokenOrg } from "../references.ts";
import { suggest } from "../suggest.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Makes a token. Its text is in this answer and nowhere else. */
export const tokenCreate: VerbHandler<"token create"> = async ({ flags, output, api }) => {
  const scopes = flags.list("scope").flatMap((scopes) => scopes.split(","));
  if (scopes.length === 0) throw new GranaryError("USAGE", `--scope is missing: ${SCOPES.join(", ")}`);
  for (const scope of scopes) checkScope(scope);
  flags.durationMs("expires");
  const { org: given, project } = orgAndProject(flags);
  const expires = flags.text("expires");
  const client = api();
  const org = given ?? (await tokenOrg(client));
  const body = {
    scopes,
    ...(project === undefined ? {} : { project }),
    ...(expires === undefined ? {} : { expires }),
  };
  const created = await client.command<TokenJson>("POST", `/v1/orgs/${encodeURIComponent(org)}/tokens`, body);
  output.emit(created, () => {
    output.line(created.token ?? "");
    const bound = created.project === undefined ? created.org : `${created.org}/${created.project}`;
    const ends = created.expires_at === null ? "never expires" : `expires ${formatTime(created.expires_at)}`;
    output.note(`${created.id} for ${bound}: ${created.scopes.join(", ")}; ${ends}. It is shown only now.`);
  });
  return EXIT.ok;
};

function checkScope(scope: string): void {
  const known: readonly string[] = SCOPES;
  if (known.includes(scope)) return;
  const near = suggest(scope, known);
  throw new GranaryError(
    "USAGE",
    `no such scope: ${JSON.stringify(scope)}${near === undefined ? `; there are ${known.join(", ")}` : `; did you mean ${near}?`}`,
  );
}
