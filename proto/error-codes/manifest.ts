import { type CodeSpec, EXIT, spec } from "../error-spec.ts";

/** What karta.toml says. */
export const MANIFEST_CODES = {
  MANIFEST_INVALID: spec(
    422,
    EXIT.manifest,
    false,
    "karta.toml is not valid.",
    "Correct the key at the line and column that are named.",
  ),
  MANIFEST_TOO_LARGE: spec(422, EXIT.manifest, false, "karta.toml is larger than the limit.", "Shorten it."),
  BUILDPACK_UNKNOWN: spec(
    422,
    EXIT.manifest,
    false,
    "karta.toml names a buildpack that does not exist.",
    "Use one of the buildpacks that are listed.",
  ),
} as const satisfies Record<string, CodeSpec>;
