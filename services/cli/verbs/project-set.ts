import { parseDurationMs } from "../../../proto/duration.ts";
import { EXIT, GranaryError } from "../../../proto/errors.ts";
import { type ProjectJson, SettingsBody } from "../../../proto/http.ts";
import type { Retention } from "../../../proto/records.ts";
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

function parseAssignment(text: string): [string, boolean | string | number | null | Retention] {
  const known = Object.keys(SettingsBody.shape);
  const [key = "", value] = text.split("=", 2);
  if (!known.includes(key)) {
    const near = suggest(key, known);
    throw new GranaryError(
      "USAGE",
      `no such setting: ${JSON.stringify(key)}${near === undefined ? `; there are ${known.join(", ")}` : `; did you mean ${near}?`}`,
    );
  }
  if (key === "quota_bytes") return [key, parseQuota(value ?? "")];
  if (key === "max_concurrency") return [key, parseCount(key, value ?? "")];
  if (key === "retention") return [key, parseRetention(value ?? "")];
  if (key === "default_ttl") {
    if (value === undefined || parseDurationMs(value) === undefined)
      throw new GranaryError("USAGE", `${key} wants a duration: ${key}=72h`);
    return [key, value];
  }
  if (value !== "true" && value !== "false")
    throw new GranaryError("USAGE", `${key} wants true or false: ${key}=true`);
  return [key, value === "true"];
}

/** `all`, or a number of releases, a duration, or both: `10,30d`. */
function parseRetention(text: string): Retention {
  if (text === "all") return {};
  const parts = text.split(",");
  const counts = parts.filter((part) => /^[1-9][0-9]{0,5}$/.test(part)).map(Number);
  const times = parts.filter((part) => parseDurationMs(part) !== undefined);
  const [keepLast] = counts;
  const [keepFor] = times;
  const isClear = counts.length <= 1 && times.length <= 1 && counts.length + times.length === parts.length;
  if (!isClear) {
    throw new GranaryError(
      "USAGE",
      `retention wants all, or how many releases and for how long: retention=10,30d; not ${JSON.stringify(text)}`,
    );
  }
  return {
    ...(keepLast === undefined ? {} : { keep_last: keepLast }),
    ...(keepFor === undefined ? {} : { keep_for: keepFor }),
  };
}

/** `none`, or how many; the farm knows how many are too many. */
function parseCount(key: string, text: string): number | null {
  if (text === "none") return null;
  if (/^[1-9][0-9]{0,5}$/.test(text)) return Number(text);
  throw new GranaryError("USAGE", `${key} wants none or a number: ${key}=2; not ${JSON.stringify(text)}`);
}

/** `none`, or a number of bytes, also as `500MiB` or `10GiB`. */
function parseQuota(text: string): number | null {
  if (text === "none") return null;
  const match = /^([1-9][0-9]{0,14})(KiB|MiB|GiB|TiB)?$/.exec(text);
  const bytes = Number(match?.[1]) * 1024 ** (["KiB", "MiB", "GiB", "TiB"].indexOf(match?.[2] ?? "") + 1);
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new GranaryError(
    "USAGE",
    `quota_bytes wants none or a number of bytes: quota_bytes=10GiB; not ${JSON.stringify(text)}`,
  );
}
