import type { FlagSpec, VerbSpec } from "../../../proto/verb-spec.ts";
import { GLOBAL_FLAGS, VERBS } from "../../../proto/verbs.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** A completion script made of the table of verbs: verbs, then their flags, then files. */
export function renderCompletions(shell: Shell): string {
  if (shell === "bash") return bash();
  return shell === "zsh" ? zsh() : fish();
}

/** First words and, for nouns, their second words. */
function words(): { first: Map<string, string>; second: Map<string, Map<string, string>> } {
  const first = new Map<string, string>();
  const second = new Map<string, Map<string, string>>();
  for (const verb of VERBS) {
    const [noun = "", sub] = verb.name.split(" ");
    if (!first.has(noun)) first.set(noun, sub === undefined ? verb.summary : `${noun}: ${verb.summary}`);
    if (sub !== undefined) second.set(noun, (second.get(noun) ?? new Map()).set(sub, verb.summary));
  }
  return { first, second };
}

function flagsOf(verb: VerbSpec): readonly FlagSpec[] {
  return [...(verb.flags ?? []), ...GLOBAL_FLAGS];
}

function bash(): string {
  const { first, second } = words();
  const nouns = [...second].map(
    ([noun, subs]) =>
      `      ${noun}) COMPREPLY=($(compgen -W "${[...subs.keys()].join(" ")}" -- "$current")); return ;;`,
  );
  const flags = VERBS.map(
    (verb: VerbSpec) =>
      `    ${JSON.stringify(verb.name)}) flags="${flagsOf(verb)
        .map((flag) => `--${flag.name}`)
        .join(" ")}" ;;`,
  );
  return `# granary completions for bash: source <(granary completions bash)
_granary() {
  local current="\${COMP_WORDS[COMP_CWORD]}" verb="\${COMP_WORDS[1]}" flags=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${[...first.keys()].join(" ")}" -- "$current"))
    return
  fi
  if [ "$COMP_CWORD" -eq 2 ]; then
    case "$verb" in
${nouns.join("\n")}
    esac
  fi
  case "$verb" in ${[...second.keys()].join("|")}) verb="$verb \${COMP_WORDS[2]}" ;; esac
  case "$verb" in
${flags.join("\n")}
  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$current")) ;;
    *) COMPREPLY=($(compgen -f -- "$current")) ;;
  esac
}
complete -o filenames -F _granary granary
`;
}

function zsh(): string {
  const { first, second } = words();
  const describe = (entries: Iterable<[string, string]>): string =>
    [...entries].map(([word, help]) => `'${quoted(word)}:${quoted(help)}'`).join(" ");
  const nouns = [...second].map(
    ([noun, subs]) => `      ${noun}) local -a subs=(${describe(subs)}); _describe verb subs; return ;;`,
  );
  const flags = VERBS.map((verb: VerbSpec) => {
    const specs = flagsOf(verb).map(
      (flag) =>
        `'--${flag.name}[${quoted(flag.help).replace(/[[\]]/g, "")}]${flag.type === "switch" ? "" : `:${flag.value}:_files`}'`,
    );
    return `    '${verb.name}') _arguments -s ${specs.join(" ")} '*:file:_files' ;;`;
  });
  return `#compdef granary
# granary completions for zsh: source <(granary completions zsh)
_granary() {
  local -a verbs=(${describe(first)})
  if (( CURRENT == 2 )); then _describe verb verbs; return; fi
  local verb="$words[2]"
  if (( CURRENT == 3 )); then
    case "$verb" in
${nouns.join("\n")}
    esac
  fi
  case "$verb" in ${[...second.keys()].join("|")}) verb="$verb $words[3]" ;; esac
  case "$verb" in
${flags.join("\n")}
  esac
}
compdef _granary granary
`;
}

function fish(): string {
  const { first, second } = words();
  const lines = [
    "# granary completions for fish: granary completions fish | source",
    ...[...first].map(
      ([word, help]) => `complete -c granary -n __fish_use_subcommand -f -a ${word} -d '${fishQuoted(help)}'`,
    ),
    ...[...second].flatMap(([noun, subs]) =>
      [...subs].map(
        ([sub, help]) =>
          `complete -c granary -n '__fish_seen_subcommand_from ${noun}; and not __fish_seen_subcommand_from ${[...subs.keys()].join(" ")}' -f -a ${sub} -d '${fishQuoted(help)}'`,
      ),
    ),
    ...VERBS.flatMap((verb: VerbSpec) => {
      const seen = verb.name
        .split(" ")
        .map((word) => `__fish_seen_subcommand_from ${word}`)
        .join("; and ");
      return (verb.flags ?? []).map(
        (flag) => `complete -c granary -n '${seen}' -l ${flag.name}${fishExtra(flag)}`,
      );
    }),
    ...GLOBAL_FLAGS.map((flag: FlagSpec) => `complete -c granary -l ${flag.name}${fishExtra(flag)}`),
  ];
  return `${lines.join("\n")}\n`;
}

function fishExtra(flag: FlagSpec): string {
  return `${flag.short === undefined ? "" : ` -s ${flag.short}`}${flag.type === "switch" ? "" : " -r"} -d '${fishQuoted(flag.help)}'`;
}

function fishQuoted(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/'/g, "\\'");
}

/** For zsh's single quotes and its colon-separated specs. */
function quoted(text: string): string {
  return text.replace(/'/g, "'\\''").replace(/:/g, "\\:");
}
