import { type CodeSpec, EXIT, spec } from "../error-spec.ts";

/** Stored content, and the registry that serves it. */
export const STORE_CODES = {
  DATA_IN_USE: spec(
    409,
    EXIT.store,
    false,
    "Another farm uses this data folder.",
    "Stop that process, or choose another folder with --data.",
  ),
  STORE_FORMAT: spec(
    500,
    EXIT.store,
    false,
    "The data folder has a format that this version does not read.",
    "Use the version of Granary that wrote it.",
  ),
  STORE_CORRUPT: spec(
    500,
    EXIT.store,
    false,
    "Stored content does not match its digest.",
    "Publish the content again: that heals it. The farm's log names the digest.",
  ),
  STORE_FULL: spec(
    507,
    EXIT.store,
    true,
    "The disk of the store is full.",
    "Free space on the data folder's disk; publishes resume by themselves.",
  ),
  STORE_IO: spec(
    503,
    EXIT.store,
    true,
    "The store's disk answered with an I/O error.",
    "Look at the disk and the farm's log.",
  ),
  BLOB_UNKNOWN: spec(
    404,
    EXIT.notFound,
    false,
    "The blob is not known to this repository.",
    "Check the digest and the repository name.",
  ),
  MANIFEST_UNKNOWN: spec(
    404,
    EXIT.notFound,
    false,
    "The manifest is not known to this repository.",
    "Check the tag or digest; `granary releases O/P` lists them.",
  ),
  NAME_UNKNOWN: spec(
    404,
    EXIT.notFound,
    false,
    "The repository is not known to this registry.",
    "Check the name: ORG/PROJECT.",
  ),
  RANGE_INVALID: spec(
    416,
    EXIT.other,
    false,
    "The requested range is outside the blob.",
    "Ask for a range inside the blob's size.",
  ),
  UNSUPPORTED: spec(
    405,
    EXIT.other,
    false,
    "The operation is not supported.",
    "The registry serves releases read-only; publish with `granary publish`.",
  ),
} as const satisfies Record<string, CodeSpec>;
