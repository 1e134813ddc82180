import type { FlagSpec, PositionalSpec, VerbGroup, VerbSpec } from "../../../proto/verb-spec.ts";
import { GLOBAL_FLAGS, VERBS } from "../../../proto/verbs.ts";

const GROUPS: readonly VerbGroup[] = ["Publish", "Look", "Go live", "Access", "Operate", "Help"];

/** All verbs, by group. */
export function renderOverview(): string {
  const width = Math.max(...VERBS.map((verb: VerbSpec) => usageOf(verb).length));
  const groups = GROUPS.map((group) => {
    const verbs: readonly VerbSpec[] = VERBS.filter((verb) => verb.group === group);
    return [`${group}:`, ...verbs.map((verb) => `  ${usageOf(verb).padEnd(width)}  ${verb.summary}`)].join(
      "\n",
    );
  });
  return [
    "granary: publish application archives, pull them as OCI images, activate and roll back atomically.",
    "Usage: granary VERB [ARGUMENTS] [FLAGS]",
    ...groups,
    flagSection("Flags of every verb:", GLOBAL_FLAGS),
    "First steps:\n  npm start                                 start a farm\n  granary publish examples/support-bot      publish a directory\n  granary help VERB                         what a verb takes",
  ].join("\n\n");
}

/** One verb: usage, flags, example. */
export function renderVerbHelp(verb: VerbSpec): string {
  const own = verb.flags ?? [];
  const args = verb.args ?? [];
  const width = Math.max(0, ...args.map((arg) => arg.name.length));
  return [
    `granary ${verb.name}: ${verb.summary}`,
    `Usage: granary ${usageOf(verb)}${own.length > 0 ? " [FLAGS]" : ""}`,
    ...(verb.details === undefined ? [] : [verb.details.join("\n")]),
    ...(args.length === 0
      ? []
      : [["Arguments:", ...args.map((arg) => `  ${arg.name.padEnd(width)}  ${arg.help}`)].join("\n")]),
    ...(own.length === 0 ? [] : [flagSection("Flags:", own)]),
    flagSection("Flags of every verb:", GLOBAL_FLAGS),
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

/** Help, default and environment variable of a flag. */
export function flagHelp(flag: FlagSpec): string {
  const extra = [
    ...(flag.default === undefined ? [] : [`default ${flag.default}`]),
    ...(flag.env === undefined ? [] : [flag.env]),
  ];
  return extra.length === 0 ? flag.help : `${flag.help} (${extra.join("; ")})`;
}

function flagSection(title: string, flags: readonly FlagSpec[]): string {
  const width = Math.max(...flags.map((flag) => flagUsage(flag).length));
  return [title, ...flags.map((flag) => `  ${flagUsage(flag).padEnd(width)}  ${flagHelp(flag)}`)].join("\n");
}
