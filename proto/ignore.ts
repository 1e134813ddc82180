/**
 * Ignore files in gitignore syntax (https://git-scm.com/docs/gitignore): `.granaryignore`, and `.gitignore` where it is
 * asked for. Pure: the caller reads the files and walks the directories.
 */
export interface IgnoreRule {
  /** The line as it was written. */
  readonly source: string;
  readonly negated: boolean;
  readonly directoryOnly: boolean;
  /** Matches against the path below the ignore file's directory; otherwise against the last segment. */
  readonly anchored: boolean;
  readonly pattern: RegExp;
}

/** The rules of one ignore file. */
export interface IgnoreFile {
  /** Directory of the file, relative to the root, without slashes at its ends; "" is the root. */
  readonly base: string;
  readonly name: string;
  readonly rules: readonly IgnoreRule[];
}

/** What decided about a path. */
export interface IgnoreMatch {
  readonly file: IgnoreFile;
  readonly rule: IgnoreRule;
}

export function parseIgnoreFile(options: { text: string; base: string; name: string }): IgnoreFile {
  const { text, base, name } = options;
  const lines = text.replace(/^\ufeff/, "").split("\n");
  const rules = lines.map((line) => parseRule(line.replace(/\r$/, ""))).filter((rule) => rule !== undefined);
  return { base, name, rules };
}

/**
 * Whether a path is left out: the last matching rule of the innermost file decides, as in git. Call it for a directory before
 * its content and do not walk into one that is ignored: nothing below it can be taken back.
 *
 * @param files from the outermost to the innermost; of one directory, the later one wins
 */
export function matchIgnore(
  files: readonly IgnoreFile[],
  path: string,
  isDirectory: boolean,
): IgnoreMatch | undefined {
  for (const file of files.toReversed()) {
    const rule = decidingRule(file, path, isDirectory);
    if (rule !== undefined) return rule.negated ? undefined : { file, rule };
  }
  return undefined;
}

function decidingRule(file: IgnoreFile, path: string, isDirectory: boolean): IgnoreRule | undefined {
  if (file.base !== "" && !path.startsWith(`${file.base}/`)) return undefined;
  const below = asBytes(file.base === "" ? path : path.slice(file.base.length + 1));
  const last = below.slice(below.lastIndexOf("/") + 1);
  return file.rules.findLast(
    (rule) => (isDirectory || !rule.directoryOnly) && rule.pattern.test(rule.anchored ? below : last),
  );
}

function parseRule(line: string): IgnoreRule | undefined {
  if (line.startsWith("#")) return undefined;
  let text = trimTrailingSpaces(line);
  const negated = text.startsWith("!");
  if (negated) text = text.slice(1);
  const directoryOnly = text.endsWith("/");
  if (directoryOnly) text = text.slice(0, -1);
  if (text === "") return undefined;
  const anchored = text.includes("/");
  const glob = asBytes(text.startsWith("/") ? text.slice(1) : text);
  const body = globToRegExp(glob, anchored);
  return {
    source: line,
    negated,
    directoryOnly,
    anchored,
    pattern: body === undefined ? NEVER : new RegExp(`^${body}$`, "su"),
  };
}

const NEVER = /(?!)/;

/** git matches bytes, so that `?` is half of an umlaut: one character per UTF-8 byte. */
function asBytes(text: string): string {
  return /[^ -~]/.test(text) ? Buffer.from(text).toString("latin1") : text;
}

/** Spaces at the end do not count unless a backslash stands before them. */
function trimTrailingSpaces(line: string): string {
  let end = line.length;
  while (end > 0 && line[end - 1] === " ") end -= 1;
  let backslashes = 0;
  while (end - 1 - backslashes >= 0 && line[end - 1 - backslashes] === "\\") backslashes += 1;
  return line.slice(0, backslashes % 2 === 1 && end < line.length ? end + 1 : end);
}

interface Piece {
  readonly source: string;
  /** Characters of the pattern that it stands for. */
  readonly length: number;
}

/** git's wildmatch as the source of a regular expression; undefined for a pattern that cannot match (`[a`, `a\`). */
function globToRegExp(glob: string, anchored: boolean): string | undefined {
  let out = "";
  let at = 0;
  while (at < glob.length) {
    const piece = nextPiece(glob, at, anchored);
    if (piece === undefined) return undefined;
    out += piece.source;
    at += piece.length;
  }
  return out;
}

function nextPiece(glob: string, at: number, anchored: boolean): Piece | undefined {
  const code = glob.codePointAt(at) ?? 0;
  const character = String.fromCodePoint(code);
  if (character === "*") return starPiece(glob, at, anchored);
  if (character === "?") return { source: anchored ? "[^/]" : ".", length: 1 };
  if (character === "[") return bracketPiece(glob, at, anchored);
  if (character !== "\\") return { source: literal(code), length: character.length };
  const escaped = glob.codePointAt(at + 1);
  if (escaped === undefined) return undefined;
  return { source: literal(escaped), length: 1 + String.fromCodePoint(escaped).length };
}

/** Two or more stars between slashes span directories; any other run of stars is one star. */
function starPiece(glob: string, at: number, anchored: boolean): Piece {
  const stars = /^\*+/.exec(glob.slice(at))?.[0].length ?? 1;
  const rest = glob.slice(at + stars);
  const bounded = (at === 0 || glob[at - 1] === "/") && /^(?:$|\/|\\\/)/.test(rest);
  if (!anchored) return { source: ".*", length: stars };
  if (stars === 1 || !bounded) return { source: "[^/]*", length: stars };
  if (rest.startsWith("/")) return { source: "(?:.*/)?", length: stars + 1 };
  return { source: rest === "" && at > 0 ? ".+" : ".*", length: stars };
}

const CLASSES: Readonly<Record<string, string>> = {
  alnum: "A-Za-z0-9",
  alpha: "A-Za-z",
  blank: " \\t",
  cntrl: "\\x00-\\x1f\\x7f",
  digit: "0-9",
  graph: "\\x21-\\x7e",
  lower: "a-z",
  print: "\\x20-\\x7e",
  punct: "\\x21-\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x7e",
  space: "\\x09-\\x0d\\x20",
  upper: "A-Z",
  xdigit: "0-9A-Fa-f",
};

/** A bracket expression from `[` on: ranges, `!` or `^`, escapes, POSIX classes. Never matches a slash in a path. */
function bracketPiece(glob: string, start: number, anchored: boolean): Piece | undefined {
  const negated = glob[start + 1] === "!" || glob[start + 1] === "^";
  const begin = start + (negated ? 2 : 1);
  let members = "";
  let at = begin;
  // A `]` that comes first is a member.
  while (glob[at] !== "]" || at === begin) {
    const member = readMembers(glob, at);
    if (member === undefined) return undefined;
    members += member.source;
    at += member.length;
  }
  const notSlash = anchored ? "(?!/)" : "";
  const set = members === "" ? (negated ? "." : NEVER.source) : `[${negated ? "^" : ""}${members}]`;
  return { source: notSlash + set, length: at + 1 - start };
}

/** One member of a bracket expression: a POSIX class, a range or a character. */
function readMembers(glob: string, at: number): Piece | undefined {
  const named = /^\[:([^\]]*):\]/.exec(glob.slice(at));
  if (named) {
    const source = CLASSES[named[1] ?? ""];
    return source === undefined ? undefined : { source, length: named[0].length };
  }
  const low = readMember(glob, at);
  if (low === undefined) return undefined;
  const next = glob[low.end + 1];
  if (glob[low.end] !== "-" || next === "]" || next === undefined)
    return { source: hex(low.code), length: low.end - at };
  // git matches the first character of a backward range before it sees that it is one.
  const high = readMember(glob, low.end + 1);
  if (high === undefined) return undefined;
  return {
    source: high.code >= low.code ? `${hex(low.code)}-${hex(high.code)}` : hex(low.code),
    length: high.end - at,
  };
}

function readMember(glob: string, at: number): { code: number; end: number } | undefined {
  const from = glob[at] === "\\" ? at + 1 : at;
  const code = glob.codePointAt(from);
  return code === undefined ? undefined : { code, end: from + String.fromCodePoint(code).length };
}

function hex(code: number): string {
  return `\\u{${code.toString(16)}}`;
}

function literal(code: number): string {
  const text = String.fromCodePoint(code);
  return /^[A-Za-z0-9_ /]$/.test(text) ? text : hex(code);
}
