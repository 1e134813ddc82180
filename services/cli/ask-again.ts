import type { FlagSpec, VerbSpec } from "../../proto/verb-spec.ts";
import { GLOBAL_FLAGS } from "../../proto/verbs.ts";
import type { Pasteable } from "./output/for-farm.ts";
import { shellWords } from "./output/shell-words.ts";
import type { CommandLine } from "./parse-command-line.ts";

const KEY = "idempotency-key";

/** The command line that asks for the same once more, under the same key; without the token, which has no place on a screen. */
export function askAgain(spec: VerbSpec, line: CommandLine, key: string): string {
  const known: readonly FlagSpec[] = [...(spec.flags ?? []), ...GLOBAL_FLAGS];
  const flags = [...line.flags]
    .filter(([name]) => name !== "token" && name !== KEY)
    .flatMap(([name, values]) => words(known, name, values));
  // What verbs without the flag ask for is the same however often it is asked for.
  const takesKey = known.some(({ name }) => name === KEY);
  return shellWords([
    "granary",
    ...spec.name.split(" "),
    ...flags,
    ...(takesKey ? [`--${KEY}`, key] : []),
    ...(line.args.some((arg) => arg.startsWith("-")) ? ["--"] : []),
    ...line.args,
  ]);
}

/** Makes the lines that are to be pasted behind this one: they go to the farm that it named. */
export function pasteableFor(line: CommandLine): Pasteable {
  const farm = ["url", "context"].flatMap((name) => {
    const value = line.flags.get(name)?.[0];
    return value === undefined ? [] : [`--${name}`, value];
  });
  return (...words) => shellWords(["granary", ...words, ...farm]);
}

function words(known: readonly FlagSpec[], name: string, values: readonly string[]): string[] {
  const isSwitch = known.find((flag) => flag.name === name)?.type === "switch";
  return isSwitch ? [`--${name}`] : values.flatMap((value) => [`--${name}`, value]);
}
