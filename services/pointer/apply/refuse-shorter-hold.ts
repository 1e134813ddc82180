import type { HoldCommand, WiderHoldCommand } from "../../../proto/commands.ts";
import type { HoldRecord } from "../../../proto/records.ts";
import type { Step } from "./step.ts";

/**
 * A hold that lasts until it is released, as a rollback leaves one, is not replaced by one that ends by itself: what was taken back at
 * night would come back with the end of somebody's lunch break.
 */
export function refuseShorterHold(
  step: Step,
  body: HoldCommand | WiderHoldCommand,
  { before, what, argument }: { before: HoldRecord | undefined; what: string; argument: string },
): void {
  if (body.keeps_endless !== true || body.until === undefined) return;
  if (before === undefined || before.until !== undefined) return;
  step.refuse(
    "HELD",
    `${what} is held since ${before.since} until somebody releases it (${before.reason}): a hold with an end would do that`,
    {
      since: before.since,
      reason: before.reason,
      hint: `Release it first with \`granary unhold ${argument}\`, or leave the end out.`,
    },
  );
}
