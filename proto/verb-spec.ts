/** How a verb of the command line is described; the table itself is proto/verbs.ts. */
export type VerbGroup = "Publish" | "Look" | "Go live" | "Access" | "Operate" | "Help";

export interface PositionalSpec {
  readonly name: string;
  readonly help: string;
  readonly optional?: boolean;
  /** Takes all remaining arguments. */
  readonly many?: boolean;
}

export interface FlagSpec<N extends string = string> {
  readonly name: N;
  /** `text` takes one value, `list` may be given several times, `switch` takes none. */
  readonly type: "text" | "list" | "switch";
  /** What stands for the value in help texts. */
  readonly value?: string;
  readonly short?: string;
  readonly default?: string;
  /** Environment variable that sets it too; the flag wins. */
  readonly env?: string;
  /** The values that are possible. */
  readonly choices?: readonly string[];
  readonly help: string;
}

export interface VerbSpec<N extends string = string, F extends string = string> {
  readonly name: N;
  readonly aliases?: readonly string[];
  readonly group: VerbGroup;
  readonly summary: string;
  /** More than the summary, one paragraph a line. */
  readonly details?: readonly string[];
  readonly args?: readonly PositionalSpec[];
  readonly flags?: readonly FlagSpec<F>[];
  /** One command line that works as it stands. */
  readonly example: string;
}

type FlagExtra = Pick<FlagSpec, "short" | "default" | "env" | "choices">;

export function text<const N extends string>(
  name: N,
  value: string,
  help: string,
  extra: FlagExtra = {},
): FlagSpec<N> {
  return { name, type: "text", value, help, ...extra };
}
export function list<const N extends string>(
  name: N,
  value: string,
  help: string,
  extra: FlagExtra = {},
): FlagSpec<N> {
  return { name, type: "list", value, help, ...extra };
}
export function toggle<const N extends string>(name: N, help: string, extra: FlagExtra = {}): FlagSpec<N> {
  return { name, type: "switch", help, ...extra };
}
export function arg(
  name: string,
  help: string,
  extra: Pick<PositionalSpec, "optional" | "many"> = {},
): PositionalSpec {
  return { name, help, ...extra };
}
export function verb<const N extends string, const F extends string = never>(
  spec: VerbSpec<N, F>,
): VerbSpec<N, F> {
  return spec;
}
