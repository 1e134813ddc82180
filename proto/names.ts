import { GranaryError } from "./errors.ts";

declare const nameBrand: unique symbol;

/** Name of an org, project, preview or node: also safe as a NATS subject token, a path segment and an OCI repository part. */
export type Name = string & { readonly [nameBrand]: true };

const PATTERN = /^[a-z0-9]+(?:-[a-z0-9]+)*$/;
const RESERVED = /^(?:base|v1|v2)$/;
const NAME_LENGTH_MAX = 63;

export function isName(text: unknown): text is Name {
  return (
    typeof text === "string" && text.length <= NAME_LENGTH_MAX && PATTERN.test(text) && !RESERVED.test(text)
  );
}

/** @throws GranaryError NAME_INVALID with the kind of thing that is named */
export function parseName(
  text: string,
  kind: "org" | "project" | "preview" | "node" | "session" | "group",
): Name {
  if (isName(text)) return text;
  const why = RESERVED.test(text)
    ? "is reserved"
    : "must match [a-z0-9]+(-[a-z0-9]+)* with at most 63 characters";
  throw new GranaryError("NAME_INVALID", `${kind} name ${JSON.stringify(text.slice(0, 80))} ${why}`, {
    kind,
  });
}

/** Turns a directory or package name into a name, or answers undefined when nothing is left of it. */
export function nameFrom(text: string): Name | undefined {
  const folded = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, NAME_LENGTH_MAX)
    .replace(/-+$/, "");
  return isName(folded) ? folded : undefined;
}

/** `v1`, `v2`, ... as the number behind the v; undefined for anything else. */
export function parseVersion(text: string): number | undefined {
  const match = /^v([1-9][0-9]{0,8})$/.exec(text);
  return match ? Number(match[1]) : undefined;
}

/** What a reference points at: `O/P`, `O/P@v3`, `O/P@current`, `O/P@preview/NAME`, `O/P@COMMIT`. */
export interface Reference {
  readonly org: Name;
  readonly project: Name;
  readonly target:
    | { readonly kind: "none" }
    | { readonly kind: "version"; readonly version: number }
    | { readonly kind: "current" }
    | { readonly kind: "preview"; readonly name: Name }
    | { readonly kind: "commit"; readonly commit: string };
}

/**
 * Parses a reference; a missing org is filled from `defaultOrg`.
 * @throws GranaryError USAGE or NAME_INVALID
 */
export function parseReference(text: string, defaultOrg?: Name): Reference {
  const at = text.indexOf("@");
  const repository = at < 0 ? text : text.slice(0, at);
  const slash = repository.indexOf("/");
  const orgText = slash < 0 ? defaultOrg : repository.slice(0, slash);
  if (orgText === undefined)
    throw new GranaryError("USAGE", `${JSON.stringify(text)} names no org: use ORG/PROJECT`);
  const org = parseName(orgText, "org");
  const project = parseName(repository.slice(slash + 1), "project");
  return { org, project, target: at < 0 ? { kind: "none" } : parseTarget(text.slice(at + 1)) };
}

function parseTarget(text: string): Reference["target"] {
  if (text === "current") return { kind: "current" };
  const version = parseVersion(text);
  if (version !== undefined) return { kind: "version", version };
  if (text.startsWith("preview/")) return { kind: "preview", name: parseName(text.slice(8), "preview") };
  if (/^[0-9a-f]{7,64}$/i.test(text)) return { kind: "commit", commit: text.toLowerCase() };
  throw new GranaryError(
    "USAGE",
    `not a release: ${JSON.stringify(text.slice(0, 80))}; use vN, current, preview/NAME or a commit`,
  );
}
