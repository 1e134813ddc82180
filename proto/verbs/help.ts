import { arg, toggle, verb } from "../verb-spec.ts";
import { OPTIONAL } from "./arguments.ts";

/** What helps people: checks, explanations, completions. */
export const HELP_VERBS = [
  verb({
    name: "doctor",
    group: "Operate",
    summary: "Check this machine, the configuration and the farm",
    example: "granary doctor",
  }),
  verb({
    name: "config check",
    group: "Help",
    summary: "Check .granary.toml, karta.toml, the saved contexts, and the configuration file of a farm",
    args: [arg("PATH", "Directory to look from, or the file of a farm (up --config).", OPTIONAL)],
    example: "granary config check",
  }),
  verb({
    name: "config print",
    group: "Help",
    summary: "Print the settings in force and where each comes from",
    args: [
      arg("FILE", "Configuration file of a farm: its settings instead of the command line's.", OPTIONAL),
    ],
    example: "granary config print",
  }),
  verb({
    name: "explain",
    group: "Help",
    summary: "Explain an error code",
    args: [arg("CODE", "Error code, such as ARCHIVE_LINK_DANGLING.", OPTIONAL)],
    flags: [toggle("all", "All codes."), toggle("markdown", "As the page docs/errors.md.")],
    example: "granary explain GENERATION_STALE",
  }),
  verb({
    name: "completions",
    group: "Help",
    summary: "Print a completion script for a shell",
    args: [arg("SHELL", "bash, zsh or fish.")],
    example: "granary completions bash",
  }),
  verb({
    name: "version",
    group: "Help",
    summary: "Print the version",
    flags: [toggle("farm", "Ask the farm for its version, too.")],
    example: "granary version",
  }),
  verb({
    name: "help",
    group: "Help",
    summary: "Show all verbs, or one",
    args: [arg("VERB", "Verb, one or two words.", { optional: true, many: true })],
    flags: [toggle("markdown", "All verbs, as the page docs/cli.md.")],
    example: "granary help publish",
  }),
] as const;
