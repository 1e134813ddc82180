/**
 * The part of YAML that our CI templates use: maps and lists by indentation, plain and double-quoted scalars, comments on lines of
 * their own. Everything else fails, so that a template cannot mean something that the test does not see.
 */
export type Yaml = string | readonly Yaml[] | { readonly [key: string]: Yaml };

export function readYaml(text: string): Yaml {
  const lines = text
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.trimStart().startsWith("#"))
    .map((line) => ({ indent: line.length - line.trimStart().length, text: line.trim() }));
  const { value, next } = block(lines, 0);
  if (next !== lines.length) throw new Error(`not understood: ${lines[next]?.text}`);
  return value;
}

interface Line {
  indent: number;
  text: string;
}

function block(lines: Line[], start: number): { value: Yaml; next: number } {
  const first = lines[start];
  if (first === undefined) throw new Error("a value is missing");
  return first.text.startsWith("- ") ? listAt(lines, start, first.indent) : mapAt(lines, start, first.indent);
}

function listAt(lines: Line[], start: number, indent: number): { value: Yaml; next: number } {
  const items: Yaml[] = [];
  let at = start;
  for (let line = lines[at]; line?.indent === indent && line.text.startsWith("- "); line = lines[at]) {
    const rest = line.text.slice(2);
    if (/^[\w-]+:( |$)/.test(rest)) {
      // The dash is indentation of the map's first line.
      lines[at] = { indent: indent + 2, text: rest };
      const item = mapAt(lines, at, indent + 2);
      items.push(item.value);
      at = item.next;
    } else {
      items.push(scalar(rest));
      at += 1;
    }
  }
  return { value: items, next: at };
}

function mapAt(lines: Line[], start: number, indent: number): { value: Yaml; next: number } {
  const map: Record<string, Yaml> = {};
  let at = start;
  for (let line = lines[at]; line?.indent === indent; line = lines[at]) {
    const [, key, rest] = /^([\w.-]+):(?: (.*))?$/.exec(line.text) ?? [];
    if (key === undefined) throw new Error(`not understood: ${line.text}`);
    at += 1;
    if (rest !== undefined) map[key] = scalar(rest);
    else {
      const value = block(lines, at);
      map[key] = value.value;
      at = value.next;
    }
  }
  return { value: map, next: at };
}

function scalar(text: string): string {
  if (text.startsWith('"')) return JSON.parse(text) as string;
  // What begins so, or has these inside, is no plain scalar in YAML (https://yaml.org/spec/1.2.2/#733-plain-style).
  if (/^[[\]{}&*!|>'%@`,?]|: | #/.test(text)) throw new Error(`not a plain scalar: ${text}`);
  return text;
}
