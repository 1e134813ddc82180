import { GranaryError } from "../../../proto/errors.ts";
import { ROLES } from "../../../proto/settings.ts";
import { runFarm } from "../run-farm.ts";
import { suggest } from "../suggest.ts";
import type { VerbHandler } from "../verb-context.ts";

const KNOWN: readonly string[] = ROLES;

/** Runs single roles until they are stopped. */
export const serve: VerbHandler<"serve"> = (context) => {
  for (const role of context.args) {
    if (KNOWN.includes(role)) continue;
    const near = suggest(role, KNOWN);
    throw new GranaryError(
      "USAGE",
      `no such role: ${JSON.stringify(role)}; ${near === undefined ? `there are ${ROLES.join(", ")}` : `did you mean ${near}?`}`,
    );
  }
  return runFarm(context, context.args);
};
