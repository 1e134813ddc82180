import { type CodeSpec, EXIT, spec } from "../error-spec.ts";

/** What karta.toml, karapace.toml and karapace.lock say. */
export const MANIFEST_CODES = {
  MANIFEST_INVALID: spec(
    422,
    EXIT.manifest,
    false,
    "karta.toml is not valid.",
    "Correct the key at the line and column that are named.",
  ),
  MANIFEST_TOO_LARGE: spec(422, EXIT.manifest, false, "A manifest is larger than the limit.", "Shorten it."),
  BUILDPACK_UNKNOWN: spec(
    422,
    EXIT.manifest,
    false,
    "karta.toml names a buildpack that does not exist.",
    "Use one of the buildpacks that are listed.",
  ),
  ENVIRONMENT_INVALID: spec(
    422,
    EXIT.manifest,
    false,
    "karapace.toml is missing or not valid.",
    "Correct what is named, at the line and column that are named.",
  ),
  LOCK_INVALID: spec(
    422,
    EXIT.manifest,
    false,
    "karapace.lock is not valid, or not what its env_id says.",
    "Restore the file, or remove it to go on without a lock.",
  ),
  LOCK_STALE: spec(
    409,
    EXIT.manifest,
    false,
    "karapace.toml was changed since karapace.lock was made.",
    "Make the lock anew, or remove it to go on without one.",
  ),
} as const satisfies Record<string, CodeSpec>;
