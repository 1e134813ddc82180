import { EXIT, GranaryError } from "../../../proto/errors.ts";
import { type OrgJson, OrgSettingsBody } from "../../../proto/http-org.ts";
import { suggest } from "../suggest.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Changes settings of an org; the others stay. */
export const orgSet: VerbHandler<"org set"> = async ({ args, output, api }) => {
  const [org = "", ...assignments] = args;
  const settings = Object.fromEntries(assignments.map(parseAssignment));
  const changed = await api().command<OrgJson>(
    "PUT",
    `/v1/orgs/${encodeURIComponent(org)}/settings`,
    settings,
  );
  output.emit(changed, () => output.line(`${org}: ${assignments.join(", ")}`));
  return EXIT.ok;
};

function parseAssignment(text: string): [string, number | null] {
  const known = Object.keys(OrgSettingsBody.shape);
  const [key = "", value = ""] = text.split("=", 2);
  if (!known.includes(key)) {
    const near = suggest(key, known);
    throw new GranaryError(
      "USAGE",
      `no such setting: ${JSON.stringify(key)}${near === undefined ? `; there are ${known.join(", ")}` : `; did you mean ${near}?`}`,
    );
  }
  if (value === "default") return [key, null];
  if (!/^[0-9]{1,9}$/.test(value))
    throw new GranaryError("USAGE", `${key} wants a number or default: ${key}=100`);
  return [key, Number(value)];
}
