import { quote } from "../../proto/entry-path.ts";
import { type ErrorCode, GranaryError } from "../../proto/errors.ts";
import { decodeName } from "./tar-text.ts";

/** What a pax extended header says about the entry behind it. */
export interface PaxRecords {
  path?: string;
  linkpath?: string;
  size?: number;
}

const LINE_FEED = 0x0a;
const SPACE = 0x20;
const EQUALS = 0x3d;

const OWNER_MAX = 2 ** 32 - 1;

/** Key to the form its value must have; values that no reader uses for (path, type, size, content) are then ignored. */
const KEYS: ReadonlyMap<string, RegExp> = new Map([
  // node-tar turns a path of digits into a number: "007" is 7 to it.
  ["path", /^(?![0-9]+$)[^\0\n]+$/],
  ["linkpath", /^(?![0-9]+$)[^\0\n]+$/],
  ["size", /^[0-9]{1,20}$/],
  // Twelve digits: more is an invalid date to node-tar.
  ["mtime", /^-?[0-9]{1,12}(?:\.[0-9]{0,40})?$/],
  ["atime", /^-?[0-9]{1,12}(?:\.[0-9]{0,40})?$/],
  ["ctime", /^-?[0-9]{1,12}(?:\.[0-9]{0,40})?$/],
  ["uid", /^[0-9]{1,10}$/],
  ["gid", /^[0-9]{1,10}$/],
  ["uname", /^[^\0\n]*$/],
  ["gname", /^[^\0\n]*$/],
  ["comment", /^[^\0]*$/],
  ["charset", /^[^\0\n]*$/],
]);
const IGNORED_PREFIX = /^(?:LIBARCHIVE|SCHILY)\../;
/** Keys of star that change size or type of the entry where they are known (bsdtar obeys realsize). */
const CONTENT_CHANGING = /^SCHILY\.(?:realsize|filetype|tarfiletype|offset|volhdr)/;
/** node-tar splits the whole header at line feeds: a line inside a value that looks like a record would be one to it. */
const RECORD_IN_VALUE = /\n[^\S\n]*[+-]?[0-9]/;

/**
 * Parses the body of a pax extended header: records "LENGTH KEY=VALUE\n" where LENGTH counts the whole record, each key at
 * most once (POSIX.1-2017 pax, "pax Extended Header"). With `global` only comments are allowed.
 *
 * @throws GranaryError ARCHIVE_BAD_PAX, ARCHIVE_PAX_DUPLICATE_KEY, ARCHIVE_PAX_UNKNOWN_KEY, ARCHIVE_PAX_GLOBAL,
 *   ARCHIVE_NAME_ENCODING, ARCHIVE_NAME_CHARACTER
 */
export function parsePax(body: Buffer, options: { global: boolean }): PaxRecords {
  if (body.length === 0) throw new GranaryError("ARCHIVE_BAD_PAX", "a pax header is empty");
  const records: PaxRecords = {};
  const seen = new Set<string>();
  for (let at = 0; at < body.length; ) {
    const record = splitRecord(body, at);
    const { key } = record;
    if (seen.has(key)) throw keyError("ARCHIVE_PAX_DUPLICATE_KEY", key, "occurs twice in one pax header");
    seen.add(key);
    if (options.global && key !== "comment")
      throw keyError("ARCHIVE_PAX_GLOBAL", key, "is set by a global pax header");
    takeRecord(body, record, records);
    at = record.end;
  }
  return records;
}

interface RawRecord {
  readonly key: string;
  readonly valueAt: number;
  /** Behind the line feed. */
  readonly end: number;
}

function splitRecord(body: Buffer, start: number): RawRecord {
  let length = 0;
  let at = start;
  for (; at < body.length && at - start < 6; at++) {
    const digit = (body[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9 || (digit === 0 && at === start)) break;
    length = length * 10 + digit;
  }
  if (at === start || body[at] !== SPACE) throw malformed("a record does not begin with its length", start);
  const end = start + length;
  if (end > body.length) throw malformed("a record is longer than the header", start);
  const equals = body.indexOf(EQUALS, at + 1);
  if (equals <= at + 1 || equals >= end) throw malformed("a record has no key", start);
  if (body[end - 1] !== LINE_FEED) throw malformed("a record does not end in a line feed", start);
  return { key: body.toString("latin1", at + 1, equals), valueAt: equals + 1, end };
}

function takeRecord(body: Buffer, { key, valueAt, end }: RawRecord, records: PaxRecords): void {
  const form = KEYS.get(key);
  if (form === undefined) {
    if (!IGNORED_PREFIX.test(key) || CONTENT_CHANGING.test(key) || !/^[\x21-\x7e]+$/.test(key)) {
      throw keyError("ARCHIVE_PAX_UNKNOWN_KEY", key, "is not allowed in a pax header");
    }
    if (RECORD_IN_VALUE.test(body.toString("utf8", valueAt, end - 1)))
      throw malformed(`the value of ${key} hides a record`, valueAt);
    return;
  }
  const value = decodeName(body, valueAt, end - 1, `pax ${key}`);
  if (!form.test(value)) {
    const code = key.endsWith("path") && /[\0\n]/.test(value) ? "ARCHIVE_NAME_CHARACTER" : "ARCHIVE_BAD_PAX";
    throw new GranaryError(code, `the pax ${key} ${quote(value)} is malformed`, {
      key,
      actual: value.slice(0, 200),
    });
  }
  if (key.endsWith("id") && Number(value) > OWNER_MAX)
    throw malformed(`the ${key} ${value} is out of range`, valueAt);
  if (RECORD_IN_VALUE.test(value)) throw malformed(`the value of ${key} hides a record`, valueAt);
  // bsdtar composes names from pax headers, the others keep them.
  if (key.endsWith("path") && value.normalize("NFC") !== value) {
    const detail = { key, path: value.slice(0, 200) };
    throw new GranaryError(
      "ARCHIVE_NAME_NOT_NORMALIZED",
      `the pax ${key} ${quote(value)} is not in Unicode form C`,
      detail,
    );
  }
  if (key === "path") records.path = value;
  else if (key === "linkpath") records.linkpath = value;
  else if (key === "size") records.size = Number(value);
}

function keyError(code: ErrorCode, key: string, what: string): GranaryError {
  return new GranaryError(code, `the key ${quote(key)} ${what}`, { key: key.slice(0, 200) });
}

function malformed(what: string, at: number): GranaryError {
  return new GranaryError("ARCHIVE_BAD_PAX", `${what} (byte ${at} of a pax header)`, { paxOffset: at });
}
