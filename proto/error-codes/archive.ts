import { type CodeSpec, EXIT, rejected, spec } from "../error-spec.ts";

const REPACK = "Pack the directory again with `granary publish DIR` or `tar czf`.";
const RENAME = "Rename the entry and pack the archive again.";

/** One code per rule of the archive grammar. */
export const ARCHIVE_CODES = {
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
} as const satisfies Record<string, CodeSpec>;
