import { ERROR_CODES, GranaryError } from "../../../proto/errors.ts";
import type { Problem } from "../../../proto/http.ts";
import { toProblem } from "../../shared/problem.ts";
import { isProblem } from "../../shared/read-problem.ts";
import { forFarm, type Pasteable } from "./for-farm.ts";
import { printable } from "./format.ts";
import type { Output } from "./output.ts";

/**
 * Shows a failure: `error CODE: what failed` and a hint on stderr, or with --json one problem document on stdout.
 * @param about.verb the one that failed; undefined when the command line names none
 * @param about.pasteable makes the command lines of a hint ask the same farm
 * @returns the exit code of the failure
 */
export function renderError(
  error: unknown,
  output: Output,
  { verb, pasteable }: { readonly verb: string | undefined; readonly pasteable: Pasteable | undefined },
): number {
  const failure = asGranaryError(error);
  const spec = ERROR_CODES[failure.code];
  const document = problemDocument(failure);
  const hint = forVerb(document.hint, verb ?? failure.detail["verb"]);
  if (output.json) {
    output.document({ ...document, hint });
    return spec.exit;
  }
  const problem = isProblem(failure.cause) ? failure.cause : undefined;
  output.say(`${output.styled("red", `error ${failure.code}:`)} ${printable(failure.message)}`);
  // A failure of one field is all in the first line.
  for (const field of problem?.errors?.filter(({ message }) => message !== failure.message) ?? [])
    output.say(`  ${printable(field.pointer)}: ${printable(field.message)}`);
  // "No farm at URL. Start one: npm start" is one sentence of the contract and already says what to do.
  if (!failure.message.includes(hint))
    output.say(`hint: ${printable(pasteable === undefined ? hint : forFarm(hint, pasteable))}`);
  if (problem !== undefined && failure.code === "INTERNAL")
    output.say(`request id: ${printable(problem.request_id)}`);
  if (failure.code === "INTERNAL" && problem === undefined && failure.cause instanceof Error)
    output.note(failure.cause.stack ?? "");
  return spec.exit;
}

/** "See `granary VERB --help`" of the catalogue, for the verb that failed. */
function forVerb(hint: string, verb: unknown): string {
  if (typeof verb === "string") return hint.replace("granary VERB --help", `granary ${verb} --help`);
  return hint.replace("granary VERB --help", "granary help");
}

/** The failure as an RFC 9457 document: the farm's own where it sent one. */
export function problemDocument(failure: GranaryError): Problem {
  return isProblem(failure.cause) ? failure.cause : toProblem(failure, "");
}

export function asGranaryError(error: unknown): GranaryError {
  if (error instanceof GranaryError) return error;
  return new GranaryError(
    "INTERNAL",
    error instanceof Error ? error.message : String(error),
    {},
    { cause: error },
  );
}
