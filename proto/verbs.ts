import { text, toggle } from "./verb-spec.ts";
import { ACCESS_VERBS } from "./verbs/access.ts";
import { DATA_VERBS } from "./verbs/data.ts";
import { FARM_VERBS } from "./verbs/farm.ts";
import { GO_LIVE_VERBS } from "./verbs/go-live.ts";
import { HELP_VERBS } from "./verbs/help.ts";
import { LOOK_VERBS } from "./verbs/look.ts";
import { PUBLISH_VERBS } from "./verbs/publish.ts";
import { WEBHOOK_VERBS } from "./verbs/webhook.ts";

/**
 * The one table of the command line: help texts, shell completions, docs/cli.md and the parser come from it. A verb stands
 * here only when it works. Names of two words are a noun and its verb (`event tail`); plural nouns are aliases.
 * The order is that of the help texts.
 */
export const VERBS = [
  ...PUBLISH_VERBS,
  ...LOOK_VERBS,
  ...GO_LIVE_VERBS,
  ...ACCESS_VERBS,
  ...WEBHOOK_VERBS,
  ...FARM_VERBS,
  ...DATA_VERBS,
  ...HELP_VERBS,
] as const;

/** Flags that every verb takes. */
export const GLOBAL_FLAGS = [
  toggle("json", "One JSON document on stdout (one per line for streams); text for people goes to stderr."),
  toggle("quiet", "Only the result and warnings.", { short: "q" }),
  toggle("help", "Show this help.", { short: "h" }),
  text("url", "URL", "Where the farm is.", { env: "GRANARY_URL" }),
  text("token", "TOKEN", "Token to show to the farm.", { env: "GRANARY_TOKEN" }),
  text("context", "NAME", "Saved farm and token to use.", { env: "GRANARY_CONTEXT" }),
] as const;

export type Verb = (typeof VERBS)[number];
export type VerbName = Verb["name"];
/** Names of the flags of one verb, the global ones included. */
export type FlagName<N extends VerbName> =
  | NonNullable<Extract<Verb, { readonly name: N }>["flags"]>[number]["name"]
  | (typeof GLOBAL_FLAGS)[number]["name"];
