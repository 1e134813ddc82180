import type { FlagSpec, PositionalSpec, VerbGroup, VerbSpec } from "../../../proto/verb-spec.ts";
import { GLOBAL_FLAGS, VERBS } from "../../../proto/verbs.ts";
import { wrapText } from "../output/text-width.ts";

const GROUPS: readonly VerbGroup[] = ["Publish", "Look", "Go live", "Access", "Operate", "Help"];

/** Where help goes that is no terminal, and what longer lines are wrapped to on a wide one. */
const COLUMNS = 80;
const COLUMNS_MAX = 120;
/** Explanations in a narrower column are hard to read: they go below what they explain. */
const EXPLANATION_MIN = 32;
const BELOW = " ".repeat(8);
const FIRST_STEPS = [
  ["npm start", "start a farm"],
  ["granary publish examples/support-bot", "publish a directory"],
  ["granary help VERB", "what a verb takes"],
] as const;

/** All verbs, by group. @param terminal its columns; undefined where there is none */
export function renderOverview(terminal?: number): string {
  const columns = helpColumns(terminal);
  const width = Math.max(...VERBS.map((verb: VerbSpec) => usageOf(verb).length));
  const groups = GROUPS.map((group) => {
    const verbs: readonly VerbSpec[] = VERBS.filter((verb) => verb.group === group);
    const rows = verbs.map((verb) => [usageOf(verb), verb.summary] as const);
    return [`${group}:`, ...explained(rows, columns, width)].join("\n");
  });
  return [
    wrapText(
      "granary: publish application archives, pull them as OCI images, activate and roll back atomically.",
      columns,
    ).join("\n"),
    "Usage: granary VERB [ARGUMENTS] [FLAGS]",
    ...groups,
    flagSection("Flags of every verb:", GLOBAL_FLAGS, columns),
    ["First steps:", ...explained(FIRST_STEPS, columns)].join("\n"),
  ].join("\n\n");
}

/** One verb: usage, flags, example. @param terminal its columns; undefined where there is none */
export function renderVerbHelp(verb: VerbSpec, terminal?: number): string {
  const columns = helpColumns(terminal);
  const own = verb.flags ?? [];
  const args = (verb.args ?? []).map(({ name, help }) => [name, help] as const);
  return [
    wrapText(`granary ${verb.name}: ${verb.summary}`, columns).join("\n"),
    `Usage: granary ${usageOf(verb)}${own.length > 0 ? " [FLAGS]" : ""}`,
    ...(verb.details === undefined ? [] : [paragraphs(verb.details, columns)]),
    ...(args.length === 0 ? [] : [["Arguments:", ...explained(args, columns)].join("\n")]),
    ...(own.length === 0 ? [] : [flagSection("Flags:", own, columns)]),
    flagSection("Flags of every verb:", GLOBAL_FLAGS, columns),
    ...(verb.aliases === undefined
      ? []
      : [`Also: ${verb.aliases.map((alias) => `granary ${alias}`).join(", ")}`]),
    `Example:\n  ${verb.example}`,
  ].join("\n\n");
}

/** `files REF`, `publish [PATH]`, `serve ROLE...`. */
export function usageOf(verb: VerbSpec): string {
  return [verb.name, ...(verb.args ?? []).map(argText)].join(" ");
}

function argText(arg: PositionalSpec): string {
  const text = `${arg.name}${arg.many === true ? "..." : ""}`;
  return arg.optional === true ? `[${text}]` : text;
}

/** `-p, --project O/P`. */
export function flagUsage(flag: FlagSpec): string {
  const short = flag.short === undefined ? "    " : `-${flag.short}, `;
  return `${short}--${flag.name}${flag.value === undefined ? "" : ` ${flag.value}`}`;
}

/** Help, possible values, default and environment variable of a flag. */
export function flagHelp(flag: FlagSpec): string {
  const extra = [
    ...(flag.choices === undefined ? [] : [flag.choices.join(" or ")]),
    ...(flag.default === undefined ? [] : [`default ${flag.default}`]),
    ...(flag.env === undefined ? [] : [flag.env]),
  ];
  return extra.length === 0 ? flag.help : `${flag.help} (${extra.join("; ")})`;
}

function flagSection(title: string, flags: readonly FlagSpec[], columns: number): string {
  const rows = flags.map((flag) => [flagUsage(flag), flagHelp(flag)] as const);
  return [title, ...explained(rows, columns)].join("\n");
}

function helpColumns(terminal: number | undefined): number {
  return Math.min(terminal ?? COLUMNS, COLUMNS_MAX);
}

/** A line of the table of verbs that ends within a sentence goes on in the next one. */
function paragraphs(details: readonly string[], columns: number): string {
  const text = details.join("\n").replace(/([^.:])\n/g, "$1 ");
  return text
    .split("\n")
    .flatMap((paragraph) => wrapText(paragraph, columns))
    .join("\n");
}

/** What things are called, and beside it what they are; below it on a narrow terminal. */
function explained(
  rows: readonly (readonly [string, string])[],
  columns: number,
  width = Math.max(...rows.map(([name]) => name.length)),
): string[] {
  const indent = " ".repeat(width + 4);
  if (columns - indent.length < EXPLANATION_MIN)
    return rows.flatMap(([name, text]) => [
      `  ${name}`,
      ...wrapText(text, columns - BELOW.length).map((line) => BELOW + line),
    ]);
  return rows.flatMap(([name, text]) =>
    wrapText(text, columns - indent.length).map((line, at) =>
      at === 0 ? `  ${name.padEnd(width)}  ${line}` : indent + line,
    ),
  );
}
