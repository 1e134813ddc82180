import { EXIT, GranaryError } from "../../../proto/errors.ts";
import { type ProjectJson, parseDurationMs, SettingsBody } from "../../../proto/http.ts";
import { findProject } from "../references.ts";
import { suggest } from "../suggest.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Changes settings of a project; the others stay. */
export const projectSet: VerbHandler<"project set"> = async ({ args, output, api }) => {
  const client = api();
  const [reference = "", ...assignments] = args;
  const settings = Object.fromEntries(assignments.map(parseAssignment));
  const { org, project, path } = await findProject(client, reference);
  const changed = await client.command<ProjectJson>("PUT", `${path}/settings`, settings);
  output.emit(changed, () => output.line(`${org}/${project}: ${assignments.join(", ")}`));
  return EXIT.ok;
};

function parseAssignment(text: string): [string, boolean | string] {
  const known = Object.keys(SettingsBody.shape);
  const [key = "", value] = text.split("=", 2);
  if (!known.includes(key)) {
    const near = suggest(key, known);
    throw new GranaryError(
      "USAGE",
      `no such setting: ${JSON.stringify(key)}${near === undefined ? `; there are ${known.join(", ")}` : `; did you mean ${near}?`}`,
    );
  }
  if (key === "default_ttl") {
    if (value === undefined || parseDurationMs(value) === undefined)
      throw new GranaryError("USAGE", `${key} wants a duration: ${key}=72h`);
    return [key, value];
  }
  if (value !== "true" && value !== "false")
    throw new GranaryError("USAGE", `${key} wants true or false: ${key}=true`);
  return [key, value === "true"];
}
