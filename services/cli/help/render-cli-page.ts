import type { FlagSpec, VerbSpec } from "../../../proto/verb-spec.ts";
import { GLOBAL_FLAGS, VERBS } from "../../../proto/verbs.ts";
import { exitNames } from "./exit-name.ts";
import { flagHelp, flagUsage, usageOf } from "./render-help.ts";

/** docs/cli.md, whole. */
export function renderCliPage(): string {
  return [
    "# The command line",
    "",
    "<!-- Written by `granary help --markdown`; a test keeps it in step with proto/verbs.ts. -->",
    "",
    "`granary VERB [ARGUMENTS] [FLAGS]`. Results go to stdout, everything else to stderr. With `--json` stdout carries one JSON",
    "document (streams: one a line); a failure is one problem document (RFC 9457). Plural nouns are accepted too.",
    "",
    "## Where settings come from",
    "",
    "Flag, then `GRANARY_*` environment, then `.granary.toml` of the directory or its parents, then the saved context in",
    "`$XDG_CONFIG_HOME/granary/config.toml` (readable by its owner only; `up` saves one named `local`). A `.granary.toml` may be",
    "committed and holds `url`, `context` and `project`, never a token. A saved token is sent only to the url it was saved with.",
    "",
    "References: `O/P`, `O/P@v3`, `O/P@current`, `O/P@preview/NAME`, `O/P@COMMIT` (7 or more hex digits); without `O/` the token's org.",
    "",
    "## Flags of every verb",
    "",
    ...flagTable(GLOBAL_FLAGS),
    "",
    "`NO_COLOR` switches colors off. Progress bars are drawn on terminals only. A table that is wider than the terminal loses columns or",
    "ends of texts, marked with `…`; `--json` and a pipe have all of it. Times are UTC.",
    "",
    "## Verbs",
    "",
    ...VERBS.flatMap((verb: VerbSpec) => verbSection(verb)),
    "## Ignore files",
    "",
    "`.granaryignore` files leave out what they name, in gitignore syntax, in any directory; `.gitignore` counts with",
    "`--gitignore` only. `.git` and `.granary` are always left out, at the root and below. What was left out is printed.",
    "",
    "## Exit codes",
    "",
    "| exit | meaning |",
    "| --: | --- |",
    ...exitNames().map(([exit, name]) => `| ${exit} | ${name} |`),
    "",
    "Each error code has its exit code: [errors.md](errors.md).",
    "",
  ].join("\n");
}

function verbSection(verb: VerbSpec): string[] {
  return [
    `### ${verb.name}`,
    "",
    `${verb.summary}. \`granary ${usageOf(verb)}\``,
    "",
    ...(verb.details === undefined ? [] : [...verb.details, ""]),
    ...(verb.args === undefined ? [] : [...verb.args.map((arg) => `- \`${arg.name}\`: ${arg.help}`), ""]),
    ...(verb.flags === undefined ? [] : [...flagTable(verb.flags), ""]),
    ...(verb.aliases === undefined
      ? []
      : [`Also: ${verb.aliases.map((alias) => `\`granary ${alias}\``).join(", ")}.`, ""]),
    "```sh",
    verb.example,
    "```",
    "",
  ];
}

function flagTable(flags: readonly FlagSpec[]): string[] {
  return [
    "| flag | |",
    "| --- | --- |",
    ...flags.map((flag) => `| \`${flagUsage(flag).trim()}\` | ${flagHelp(flag).replaceAll("|", "\\|")} |`),
  ];
}
