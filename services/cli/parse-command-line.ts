import { parseArgs } from "node:util";
import { GranaryError } from "../../proto/errors.ts";
import type { FlagSpec, VerbSpec } from "../../proto/verb-spec.ts";
import { GLOBAL_FLAGS, VERBS, type VerbName } from "../../proto/verbs.ts";
import { suggest } from "./suggest.ts";

export interface CommandLine {
  readonly verb: VerbName;
  readonly args: readonly string[];
  /** Text flags have one value, list flags several, switches none. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
}

/**
 * Reads a command line by the table of verbs. Global flags may also stand before the verb; a missing verb, `-h` and
 * `--version` become the verbs `help` and `version`.
 * @throws GranaryError USAGE, with a suggestion where one is near
 */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const { leading, rest } = splitLeadingFlags(argv);
  if (rest[0] === "--version" || rest[0] === "-V") return { verb: "version", args: [], flags: new Map() };
  if (rest.length === 0) return { verb: "help", args: [], flags: readFlags(helpSpec(), leading).flags };
  const { spec, used } = findVerb(rest);
  const { flags, args } = readFlags(spec, [...leading, ...rest.slice(used)]);
  if (!flags.has("help")) checkArgs(spec, args);
  return { verb: spec.name, args, flags };
}

function helpSpec(): VerbSpec {
  const spec = VERBS.find((verb) => verb.name === "help");
  if (spec === undefined) throw new RangeError("the table of verbs has no help");
  return spec;
}

/** Every way to write a verb: names and aliases. */
function spellings(): { readonly words: string; readonly verb: (typeof VERBS)[number] }[] {
  return VERBS.flatMap((verb) => [verb.name, ...(verb.aliases ?? [])].map((words) => ({ words, verb })));
}

function findVerb(words: readonly string[]): { spec: (typeof VERBS)[number]; used: number } {
  const all = spellings();
  for (const used of [2, 1]) {
    const found = all.find((spelling) => spelling.words === words.slice(0, used).join(" "));
    if (found !== undefined && words.length >= used) return { spec: found.verb, used };
  }
  const first = words[0] ?? "";
  const nested = all
    .filter((spelling) => spelling.words.startsWith(`${first} `))
    .map((spelling) => spelling.words);
  if (nested.length > 0) {
    const wanted = words[1]?.startsWith("-") ? undefined : words[1];
    const near =
      wanted === undefined
        ? undefined
        : suggest(
            wanted,
            nested.map((name) => name.split(" ")[1] ?? ""),
          );
    const meant = near === undefined ? "" : `; did you mean \`granary ${first} ${near}\`?`;
    const said =
      wanted === undefined
        ? `\`granary ${first}\` wants a verb`
        : `\`granary ${first}\` has no verb ${JSON.stringify(wanted)}`;
    throw new GranaryError("USAGE", `${said}: ${nested.join(", ")}${meant}`);
  }
  const near = suggest(
    first,
    all.map((spelling) => spelling.words),
  );
  const meant = near === undefined ? "`granary help` lists all verbs" : `did you mean \`granary ${near}\`?`;
  throw new GranaryError("USAGE", `unknown verb ${JSON.stringify(first.slice(0, 60))}; ${meant}`);
}

/** `granary --json publish .`: flags that stand before the verb, moved behind it. */
function splitLeadingFlags(argv: readonly string[]): { leading: string[]; rest: string[] } {
  const leading: string[] = [];
  let at = 0;
  for (; at < argv.length; at++) {
    const word = argv[at] ?? "";
    const flag = GLOBAL_FLAGS.find(
      (spec: FlagSpec) => word.split("=")[0] === `--${spec.name}` || word === `-${spec.short}`,
    );
    if (flag === undefined) break;
    leading.push(word);
    if (flag.type === "text" && !word.includes("=") && at + 1 < argv.length) leading.push(argv[++at] ?? "");
  }
  return { leading, rest: argv.slice(at) };
}

function readFlags(
  spec: VerbSpec,
  words: readonly string[],
): { flags: Map<string, string[]>; args: string[] } {
  const known: readonly FlagSpec[] = [...(spec.flags ?? []), ...GLOBAL_FLAGS];
  const options = Object.fromEntries(
    known.map((flag) => [
      flag.name,
      {
        type: flag.type === "switch" ? ("boolean" as const) : ("string" as const),
        multiple: true,
        ...(flag.short === undefined ? {} : { short: flag.short }),
      },
    ]),
  );
  // Not `strict`: its errors can only be told apart by their messages.
  const { tokens } = parseArgs({
    args: [...words],
    options,
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const flags = new Map<string, string[]>();
  const args: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") args.push(token.value);
    if (token.kind !== "option") continue;
    const flag = known.find((candidate) => candidate.name === token.name);
    if (flag === undefined) throw unknownFlag(spec, token.rawName, known);
    flags.set(flag.name, [...(flags.get(flag.name) ?? []), ...flagValue(flag, token)]);
  }
  for (const flag of known) {
    if (flag.type === "text" && (flags.get(flag.name)?.length ?? 0) > 1)
      throw usage(spec, `--${flag.name} was given twice`);
  }
  return { flags, args };
}

function flagValue(
  flag: FlagSpec,
  token: { rawName: string; value: string | undefined; inlineValue: boolean | undefined },
): string[] {
  if (flag.type === "switch") {
    if (token.value !== undefined) throw new GranaryError("USAGE", `${token.rawName} takes no value`);
    return [];
  }
  if (token.value === undefined || token.value === "")
    throw new GranaryError("USAGE", `${token.rawName} wants a value: ${token.rawName} ${flag.value}`);
  if (token.inlineValue !== true && token.value.length > 1 && token.value.startsWith("-")) {
    throw new GranaryError(
      "USAGE",
      `${token.rawName} wants a value, not ${token.value}; a value that begins with - is written ${token.rawName}=VALUE`,
    );
  }
  if (flag.choices !== undefined && !flag.choices.includes(token.value))
    throw new GranaryError("USAGE", `${token.rawName} is one of ${flag.choices.join(", ")}`);
  return [token.value];
}

function unknownFlag(spec: VerbSpec, rawName: string, known: readonly FlagSpec[]): GranaryError {
  const near = suggest(
    rawName.replace(/^-+/, ""),
    known.map((flag) => flag.name),
  );
  return usage(spec, `unknown flag ${rawName}${near === undefined ? "" : `; did you mean --${near}?`}`);
}

function checkArgs(spec: VerbSpec, args: readonly string[]): void {
  const slots = spec.args ?? [];
  const missing = slots[args.length];
  if (missing !== undefined && !missing.optional) throw usage(spec, `${missing.name} is missing`);
  const tooMany = args[slots.length];
  if (tooMany !== undefined && !slots.some((slot) => slot.many))
    throw usage(spec, `${JSON.stringify(tooMany)} is one argument too many`);
}

function usage(spec: VerbSpec, message: string): GranaryError {
  return new GranaryError("USAGE", `granary ${spec.name}: ${message}`, { verb: spec.name });
}
