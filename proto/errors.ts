/**
 * The one catalogue of failures. A code is public surface: it appears in problem+json (RFC 9457), in the CLI's
 * `--json` errors, in failed publishes and in docs/errors.md, and it decides HTTP status, exit code and retryability.
 * Where OCI distribution has a code, its name is used (https://github.com/opencontainers/distribution-spec).
 */

/** Exit codes of the CLI (contracts: 0-3 as in Karapace). */
export const EXIT = {
  ok: 0,
  other: 1,
  manifest: 2,
  store: 3,
  usage: 4,
  unauthorized: 5,
  notFound: 6,
  conflict: 7,
  archive: 8,
  build: 9,
  unavailable: 10,
  cancelled: 11,
  limit: 12,
  overtaken: 13,
  timedOut: 14,
  mismatch: 15,
  interrupted: 130,
} as const;

interface CodeSpec {
  readonly http: number;
  readonly exit: number;
  readonly retryable: boolean;
  /** What went wrong, as a sentence without the particulars. */
  readonly title: string;
  /** What to do next. */
  readonly hint: string;
}

const rejected = (title: string, hint: string, http = 422): CodeSpec => ({
  http,
  exit: EXIT.archive,
  retryable: false,
  title,
  hint,
});

const spec = (http: number, exit: number, retryable: boolean, title: string, hint: string): CodeSpec => ({
  http,
  exit,
  retryable,
  title,
  hint,
});

const REPACK = "Pack the directory again with `granary publish DIR` or `tar czf`.";
const RENAME = "Rename the entry and pack the archive again.";

export const ERROR_CODES = {
  // --- archives: one code per rule of the grammar -------------------------------------------------------------
  ARCHIVE_EMPTY: rejected(
    "The archive has no bytes or no entries.",
    "Send a .tar.gz with at least one file.",
  ),
  ARCHIVE_NOT_GZIP: rejected(
    "The body is not a gzip stream.",
    "Send a gzip-compressed tar archive (.tar.gz).",
    415,
  ),
  ARCHIVE_GZIP_CORRUPT: rejected("The gzip stream is damaged.", REPACK),
  ARCHIVE_GZIP_HEADER_TOO_LARGE: rejected("A gzip header is larger than the limit.", REPACK),
  ARCHIVE_TOO_MANY_GZIP_MEMBERS: rejected("The gzip stream has more members than the limit.", REPACK),
  ARCHIVE_TRUNCATED: rejected(
    "The archive ends in the middle.",
    `The upload or the packing was cut short. ${REPACK}`,
  ),
  ARCHIVE_NO_END_MARKER: rejected("The archive has no end marker of two zero blocks.", REPACK),
  ARCHIVE_TRAILING_DATA: rejected("Something other than zero bytes follows the end of the archive.", REPACK),
  ARCHIVE_BAD_CHECKSUM: rejected("An entry header has a wrong checksum.", REPACK),
  ARCHIVE_BAD_MAGIC: rejected(
    "An entry header is neither ustar nor GNU tar.",
    "Use GNU tar, bsdtar or `npm pack`; v7 headers are refused.",
  ),
  ARCHIVE_BAD_NUMBER: rejected("A numeric header field is not a valid number.", REPACK),
  ARCHIVE_BAD_HEADER: rejected("An entry header has bytes where its format leaves none.", REPACK),
  ARCHIVE_BAD_PADDING: rejected("The padding behind an entry is not zero.", REPACK),
  ARCHIVE_BAD_PAX: rejected("A pax header is malformed.", REPACK),
  ARCHIVE_PAX_DUPLICATE_KEY: rejected("A pax header has one key twice.", REPACK),
  ARCHIVE_PAX_UNKNOWN_KEY: rejected(
    "A pax header has a key that is not allowed.",
    `Sparse files and vendor extensions that change content are refused. ${REPACK}`,
  ),
  ARCHIVE_PAX_GLOBAL: rejected("A global pax header sets something other than a comment.", REPACK),
  ARCHIVE_META_CONFLICT: rejected("Metadata headers contradict each other or belong to no entry.", REPACK),
  ARCHIVE_META_TOO_LARGE: rejected("The metadata headers are larger than the limit.", REPACK, 413),
  ARCHIVE_ENTRY_TYPE: rejected(
    "An entry is of a type that is not allowed.",
    "Only files, directories, symlinks and hardlinks can be published.",
  ),
  ARCHIVE_ENTRY_SIZE: rejected("An entry that is not a regular file has a size.", REPACK),
  ARCHIVE_NAME_ENCODING: rejected("A name is not valid UTF-8.", RENAME),
  ARCHIVE_NAME_CHARACTER: rejected("A name has a control, bidi-override or NUL character.", RENAME),
  ARCHIVE_NAME_RESERVED: rejected("A name has a meaning of its own in OCI layers.", RENAME),
  ARCHIVE_NAME_NOT_NORMALIZED: rejected(
    "A name in a pax header is not in Unicode normalization form C.",
    "Rename the entry to its composed form, or pack with `tar --format=gnu`.",
  ),
  ARCHIVE_NAME_BACKSLASH: rejected("A name has a backslash.", RENAME),
  ARCHIVE_PATH_ABSOLUTE: rejected(
    "A path is absolute.",
    "Pack with relative paths: `tar czf app.tgz -C DIR .`",
  ),
  ARCHIVE_PATH_DRIVE: rejected("A path begins with a drive letter.", RENAME),
  ARCHIVE_PATH_TRAVERSAL: rejected(
    "A path has a `..` segment.",
    "Pack from inside the directory: `tar czf app.tgz -C DIR .`",
  ),
  ARCHIVE_PATH_SEGMENT: rejected("A path has an empty or `.` segment.", REPACK),
  ARCHIVE_PATH_TOO_LONG: rejected("A path or one of its segments is longer than the limit.", RENAME),
  ARCHIVE_PATH_TOO_DEEP: rejected("A path is nested deeper than the limit.", RENAME),
  ARCHIVE_PATH_DUPLICATE: rejected("A path occurs twice.", REPACK),
  ARCHIVE_PATH_COLLISION: rejected("Two paths are equal after Unicode normalization (NFC).", RENAME),
  ARCHIVE_PATH_CONFLICT: rejected("A file or link is used as the parent of another entry.", REPACK),
  ARCHIVE_PATH_NOT_PORTABLE: rejected(
    "A path is not portable and the project requires portable names.",
    RENAME,
  ),
  ARCHIVE_LINK_EMPTY: rejected("A link has no target.", REPACK),
  ARCHIVE_LINK_ABSOLUTE: rejected(
    "A symlink's target is absolute.",
    "Make the link relative: `ln -sr TARGET LINK`.",
  ),
  ARCHIVE_LINK_ESCAPES: rejected(
    "A link points outside the archive.",
    "Make the link point to something that is published with it.",
  ),
  ARCHIVE_LINK_DANGLING: rejected(
    "A symlink points to nothing in the archive.",
    "Publish the target too, or leave the link out with .granaryignore.",
  ),
  ARCHIVE_LINK_LOOP: rejected("Symlinks form a loop.", "Remove the loop."),
  ARCHIVE_HARDLINK_TARGET: rejected("A hardlink names no earlier regular file.", REPACK),
  ARCHIVE_TOO_MANY_ENTRIES: rejected(
    "The archive has more entries than the limit.",
    "Leave generated files out with .granaryignore.",
    413,
  ),
  ARCHIVE_TOO_LARGE: rejected(
    "The archive expands to more than the limit.",
    "Leave large files out with .granaryignore, or ask the operator to raise the limit.",
    413,
  ),
  ARCHIVE_FILE_TOO_LARGE: rejected(
    "One file is larger than the limit.",
    "Leave the file out with .granaryignore, or ask the operator to raise the limit.",
    413,
  ),
  ARCHIVE_UPLOAD_TOO_LARGE: rejected(
    "The upload is larger than the limit.",
    "Leave files out with .granaryignore, or ask the operator to raise the limit.",
    413,
  ),
  ARCHIVE_RATIO: rejected(
    "The archive expands suspiciously far.",
    `The compression ratio is that of a decompression bomb. ${REPACK}`,
    413,
  ),
  ARCHIVE_TIMEOUT: rejected(
    "Reading the archive took longer than the limit.",
    "Publish a smaller archive, or ask the operator to raise the limit.",
  ),
  ARCHIVE_WORKER_DIED: rejected(
    "The worker thread that read the archive died on it.",
    "Publish again; if it dies again, report the archive to the operator.",
  ),
  DIGEST_INVALID: spec(
    400,
    EXIT.archive,
    false,
    "The content does not have the digest that was announced.",
    "Send the content again.",
  ),

  LISTING_INVALID: rejected(
    "The listing is not a canonical tree.",
    "List files as docs/image-spec.md says, or let `granary publish DIR` do it.",
  ),
  UPLOAD_OFFSET: spec(
    409,
    EXIT.conflict,
    false,
    "The upload continues at another offset.",
    "Send what follows the offset that is named.",
  ),
  SESSION_UNKNOWN: spec(
    404,
    EXIT.notFound,
    false,
    "There is no such upload session, or it has expired.",
    "Plan the publish again.",
  ),
  SUBSCRIPTION_LOST: spec(
    409,
    EXIT.conflict,
    false,
    "Another subscriber of the group has taken over.",
    "Stop handling; claim the group again and go on behind its cursor.",
  ),
  EVENT_GAP: spec(
    500,
    EXIT.other,
    false,
    "An event stream left out a number of its project.",
    "Read again from the last cursor that was handled; if it is still missing, report it.",
  ),
  CONTENT_GONE: spec(
    409,
    EXIT.conflict,
    true,
    "Content that was there when the publish was planned is gone.",
    "Plan the publish again: it will be asked for.",
  ),

  // --- manifests ----------------------------------------------------------------------------------------------
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

  // --- store --------------------------------------------------------------------------------------------------
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

  // --- requests -----------------------------------------------------------------------------------------------
  USAGE: spec(
    400,
    EXIT.usage,
    false,
    "The request or command line is not valid.",
    "See `granary VERB --help`.",
  ),
  CONFIG_INVALID: spec(
    400,
    EXIT.usage,
    false,
    "A configuration file is not valid.",
    "Correct the key that is named.",
  ),
  NAME_INVALID: spec(
    400,
    EXIT.usage,
    false,
    "A name is not valid.",
    "Use lower-case letters, digits and single dashes, 63 at most.",
  ),
  COMMIT_REQUIRED: spec(
    400,
    EXIT.usage,
    false,
    "No commit is known for this publish.",
    "Pass --commit SHA or set GRANARY_COMMIT.",
  ),
  BODY_TOO_LARGE: spec(
    413,
    EXIT.limit,
    false,
    "The request body is larger than the limit.",
    "Send a smaller body.",
  ),
  UNAUTHENTICATED: spec(
    401,
    EXIT.unauthorized,
    false,
    "No valid token was sent.",
    "Pass --token, set GRANARY_TOKEN, or run `granary login`.",
  ),
  ID_TOKEN_REFUSED: spec(
    401,
    EXIT.unauthorized,
    false,
    "The CI's id token is not accepted.",
    "Compare the claims of the token with `granary trust ls`; the farm's log has the reason under this request id.",
  ),
  FORBIDDEN: spec(
    403,
    EXIT.unauthorized,
    false,
    "The token does not allow this.",
    "Use a token with the scope that is named.",
  ),
  NOT_FOUND: spec(
    404,
    EXIT.notFound,
    false,
    "There is no such thing here.",
    "Check the name; `granary projects` lists what this token can see.",
  ),
  GENERATION_STALE: spec(
    409,
    EXIT.conflict,
    false,
    "The pointer has moved since you looked.",
    "Look at `granary current O/P` and decide again.",
  ),
  HELD: spec(409, EXIT.conflict, false, "The project is held.", "Release it with `granary unhold O/P`."),
  NOTHING_ACTIVE: spec(
    409,
    EXIT.conflict,
    false,
    "The project has no active release.",
    "Activate one with `granary activate O/P@vN`.",
  ),
  NO_ROLLBACK_TARGET: spec(
    409,
    EXIT.conflict,
    false,
    "There is no earlier activation to roll back to.",
    "Name one with --to vN.",
  ),
  RELEASE_RETIRED: spec(
    409,
    EXIT.conflict,
    false,
    "The release has been retired.",
    "Choose a release that is still kept; `granary releases O/P` lists them.",
  ),
  RELEASE_IN_USE: spec(
    409,
    EXIT.conflict,
    false,
    "The release is in use and cannot be retired.",
    "End what uses it first; `kept_by` names it.",
  ),
  STATE_CONFLICT: spec(
    409,
    EXIT.conflict,
    false,
    "That is not possible in the present state.",
    "Look at the state that is named.",
  ),
  NOT_ACTIVATED: spec(
    409,
    EXIT.conflict,
    false,
    "The release is ready but was not activated.",
    "See not_activated_reason; activate it with `granary activate REF`.",
  ),
  IDEMPOTENCY_KEY_REUSED: spec(
    422,
    EXIT.conflict,
    false,
    "The idempotency key was used for other content.",
    "Use a new key for new content.",
  ),
  BUILD_FAILED: spec(422, EXIT.build, false, "The build failed.", "Read `granary status ID`."),
  RATE_LIMITED: spec(
    429,
    EXIT.limit,
    true,
    "Too many requests or queued publishes.",
    "Try again after the time in Retry-After.",
  ),
  QUOTA_EXCEEDED: spec(
    403,
    EXIT.limit,
    false,
    "The project's quota is used up.",
    "Retire releases, set `retention`, or raise `quota_bytes`.",
  ),
  CANCELLED: spec(409, EXIT.cancelled, false, "The publish was cancelled.", "Publish again."),
  OVERTAKEN: spec(
    409,
    EXIT.overtaken,
    false,
    "A newer publish overtook this one.",
    "Nothing to do: the newer one is named.",
  ),
  TIMED_OUT: spec(
    504,
    EXIT.timedOut,
    true,
    "Waiting timed out; the work goes on.",
    "Ask again with `granary wait ID`.",
  ),
  OUTCOME_UNKNOWN: spec(
    504,
    EXIT.timedOut,
    true,
    "Whether the command took effect is not known yet.",
    "Ask again with the same Idempotency-Key; it takes effect at most once.",
  ),
  VERIFY_MISMATCH: spec(
    422,
    EXIT.mismatch,
    false,
    "The content does not have the expected image digest.",
    "See which file differs with `granary verify --json`.",
  ),
  CURSOR_EXPIRED: spec(
    410,
    EXIT.notFound,
    false,
    "Events behind the cursor are no longer kept.",
    "Take over the snapshot in the answer and go on from its cursor.",
  ),
  WEBHOOK_URL_REFUSED: spec(
    422,
    EXIT.usage,
    false,
    "The webhook's URL is not one that the farm may call.",
    "Use https, a public host, and port 443 or one from 1024 on; tests on loopback need the farm's setting webhook_allow_private.",
  ),
  UNAVAILABLE: spec(
    503,
    EXIT.unavailable,
    true,
    "A part of the farm is not available.",
    "Try again after the time in Retry-After; `granary doctor` shows the parts.",
  ),
  NO_FARM: spec(503, EXIT.unavailable, true, "No farm answers there.", "Start one: npm start"),
  NATS_MISSING: spec(
    500,
    EXIT.unavailable,
    false,
    "No nats-server >= 2.12 was found.",
    "Install nats-server or set NATS_SERVER_BIN.",
  ),
  NATS_UNFIT: spec(
    500,
    EXIT.unavailable,
    false,
    "The nats-server is too old or not configured durably.",
    "Use nats-server >= 2.12 with jetstream { sync_interval: always }.",
  ),
  REPLICA_BEHIND: spec(
    503,
    EXIT.unavailable,
    true,
    "This process has not applied the position of the command log that was asked for.",
    "Try again, or ask another api; a `min_seq` comes from a Granary-Seq header of the same farm.",
  ),
  STATE_BEHIND: spec(
    500,
    EXIT.store,
    false,
    "The command log and the local state do not fit together.",
    "The NATS data was replaced or lost its end: restore it, or go on from the state with `granary pointer reseed`.",
  ),
  STATE_DIVERGED: spec(
    500,
    EXIT.store,
    false,
    "This replica's state differs from what another replica has after the same commands.",
    "Stop the farm here and move its state folder away: the next start makes it anew from a snapshot and the log. Keep the old one for a bug report.",
  ),
  CAPABILITY_MISSING: spec(
    501,
    EXIT.other,
    false,
    "This machine cannot do that.",
    "`granary doctor` lists what it can do.",
  ),
  INTERNAL: spec(
    500,
    EXIT.other,
    false,
    "Something went wrong inside Granary.",
    "Report it with the request id; the farm's log has the details.",
  ),
} as const satisfies Record<string, CodeSpec>;

export type ErrorCode = keyof typeof ERROR_CODES;

export type ErrorDetail = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** A {@link GranaryError} as it crosses a thread, a queue or HTTP: errors lose class and code there, data does not. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly detail: ErrorDetail;
}

/** Every expected failure. `message` names the thing that failed; `detail` carries member names, actual values and limits. */
export class GranaryError extends Error {
  override readonly name = "GranaryError";
  readonly code: ErrorCode;
  readonly detail: ErrorDetail;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.detail = detail;
  }

  get spec(): CodeSpec {
    return ERROR_CODES[this.code];
  }

  /** What to do next: that of the code, unless the failure knows better (`detail.hint`). */
  get hint(): string {
    const hint = this.detail["hint"];
    return typeof hint === "string" ? hint : this.spec.hint;
  }

  toWire(): WireError {
    return { code: this.code, message: this.message, detail: this.detail };
  }

  static fromWire(wire: WireError): GranaryError {
    return new GranaryError(wire.code, wire.message, wire.detail);
  }
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === "string" && Object.hasOwn(ERROR_CODES, value);
}

/** A failure or a value, as data: what crosses threads and queues. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: WireError };
