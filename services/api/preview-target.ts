import { parseDurationMs } from "../../proto/duration.ts";
import { GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import { type Name, parseName } from "../../proto/names.ts";
import type { Scope } from "../../proto/records.ts";

/** The preview that a publish is for. */
export interface PreviewTarget {
  readonly name: Name;
  /** Absent: the preview's own time to live, else the project's. */
  readonly ttlMs: number | undefined;
}

/**
 * @param at where the request says it: `?` of its query, `/` of its body
 * @throws GranaryError NAME_INVALID, USAGE
 */
export function checkPreview(
  given: { readonly preview?: string | undefined; readonly ttl?: string | undefined },
  at: "?" | "/",
): PreviewTarget | undefined {
  const { preview, ttl } = given;
  if (preview === undefined) {
    if (ttl === undefined) return undefined;
    throw new GranaryError("USAGE", "ttl is for previews: name one", { pointer: `${at}ttl` });
  }
  return { name: parseName(preview, "preview"), ttlMs: ttl === undefined ? undefined : checkTtl(ttl, at) };
}

/** @param at what stands before `ttl` in the name of the field @returns milliseconds @throws GranaryError USAGE */
export function checkTtl(text: string, at: "?" | "/" | "/default_"): number {
  const ttlMs = parseDurationMs(text);
  const limit = LIMITS.previewTtlMs;
  if (ttlMs !== undefined && ttlMs <= limit) return ttlMs;
  const message =
    ttlMs === undefined
      ? "ttl must be a duration such as 90s, 30m, 72h or 7d"
      : `ttl is longer than ${limit / 86_400_000} d; pin the preview instead`;
  throw new GranaryError("USAGE", message, { pointer: `${at}ttl`, limit });
}

/** What a token needs to publish there, or to cancel it: who may only make previews cannot touch production. */
export function publishScope(preview: string | undefined): Scope {
  return preview === undefined ? "publish" : "preview";
}
