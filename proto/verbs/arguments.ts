import { EVENT_FORMATS } from "../cd-events.ts";
import { arg, text } from "../verb-spec.ts";

/** Arguments and flags that verbs of more than one file take. */

export const OPTIONAL = { optional: true } as const;
export const PROJECT = arg("O/P", "Project, ORG/PROJECT; without ORG/ the token's org.");
export const REF = arg(
  "REF",
  "Release: O/P (the live one), O/P@v3, O/P@current, O/P@preview/NAME or O/P@COMMIT (7+ hex).",
);
export const REASON = text("reason", "TEXT", "Why; kept in the audit trail.");
export const LIMIT = text("limit", "N", "Rows at most.", { default: "50" });
export const CURSOR = text("cursor", "CURSOR", "Go on behind this place; it is printed when there is more.");
export const TIMEOUT = text("timeout", "DURATION", "How long to wait; then exit 14, and the work goes on.", {
  default: "15m",
});
export const ORG = text("org", "ORG", "Org; the token's when not given.");
/** Of verbs whose request has one effect however often it is sent. */
export const ASK_AGAIN = text(
  "idempotency-key",
  "KEY",
  "Asks again for what an earlier run with this key was not answered about.",
);
export const EVENT_FORMAT = text(
  "format",
  "FORMAT",
  "Words that events are told in: our own, or those of CDEvents.",
  { choices: EVENT_FORMATS },
);
