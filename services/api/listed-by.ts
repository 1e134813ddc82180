import type { CommandBody } from "../../proto/commands.ts";
import { GranaryError } from "../../proto/errors.ts";

type Listed = "releases" | "publishes" | "preview ls" | "webhook ls" | "token ls" | "trust ls";

/** The hint of a NOT_FOUND: the command that lists the things among which one was not found. */
export function listedBy(verb: Listed, at: { org: string; project?: string }): { readonly hint: string } {
  const of =
    verb === "publishes" || verb === "releases" || verb === "preview ls"
      ? `${at.org}/${at.project ?? "PROJECT"}`
      : `--org ${at.org}`;
  return { hint: `\`granary ${verb} ${of}\` lists what there is.` };
}

/** What lists the things that a command of this type names. */
const LISTS: Partial<Record<CommandBody["type"], Listed>> = {
  activate: "releases",
  rollback: "releases",
  retire: "releases",
  "preview.pin": "preview ls",
  "preview.extend": "preview ls",
  "preview.promote": "preview ls",
  "preview.remove": "preview ls",
  "token.revoke": "token ls",
  "trust.remove": "trust ls",
  "webhook.update": "webhook ls",
  "webhook.remove": "webhook ls",
  "webhook.ask": "webhook ls",
};

/** The refusal of a command, with what lists the things that it may have meant. The log has it without: there it is part of the state. */
export function withList(
  error: GranaryError,
  type: CommandBody["type"],
  at: { org: string; project?: string },
): GranaryError {
  const verb = error.code === "NOT_FOUND" ? LISTS[type] : undefined;
  return verb === undefined
    ? error
    : new GranaryError(error.code, error.message, { ...error.detail, ...listedBy(verb, at) });
}
