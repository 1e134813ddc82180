import { parse, TomlError } from "smol-toml";
import { LIMITS } from "./limits.ts";

/** What is wrong with a TOML file, and where; lines and columns begin with 1. */
export interface TomlFault {
  readonly reason: string;
  readonly line?: number;
  readonly column?: number;
}

/** A TOML file's text and value, or what is wrong with it. @param options `integersAsBigInt` keeps 1 and 1.0 apart */
export function readToml(
  bytes: Uint8Array,
  options: { readonly integersAsBigInt?: true } = {},
): { readonly text: string; readonly value: unknown } | TomlFault {
  let text: string;
  try {
    // TOML 1.1 lets one byte order mark stand at the beginning, and so does the parser: the decoder must not take another.
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return { reason: "it is not valid UTF-8" };
  }
  try {
    const value = parse(text, { maxDepth: LIMITS.manifestDepth, unsafeKeyBehaviour: "throw", ...options });
    return { text, value };
  } catch (error) {
    // A 100k-part dotted key overflows the parser's stack with a RangeError.
    if (!(error instanceof TomlError)) return { reason: "it is nested too deeply to be read" };
    const reason = error.message.split("\n")[0] ?? "not valid TOML";
    return { reason, line: error.line, column: error.column };
  }
}

/** Finds where a key stands; TOML's parser does not keep positions. Falls back to the nearest enclosing table. */
export function locateKey(text: string, path: readonly string[]): { line: number; column: number } {
  let table: string[] = [];
  let best = { line: 1, column: 1, depth: 0 };
  for (const [index, raw] of text.split("\n").entries()) {
    const header = /^\s*\[\[?([^\]]+)\]\]?/.exec(raw);
    const assignment = header ? null : /^(\s*)([^=#]+?)\s*=/.exec(raw);
    const keys = keyParts(header?.[1] ?? assignment?.[2] ?? "");
    if (keys.length === 0) continue;
    if (header) table = keys;
    const full = header ? table : [...table, ...keys];
    const depth = full.every((key, at) => key === path[at]) ? full.length : 0;
    if (depth > best.depth)
      best = { line: index + 1, column: (assignment?.[1]?.length ?? raw.indexOf("[")) + 1, depth };
  }
  return { line: best.line, column: best.column };
}

function keyParts(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)/g)].map(
    (match) => match[1] ?? match[2] ?? match[3] ?? "",
  );
}
