import { EXIT } from "../../../proto/errors.ts";
import { changeHold, findHoldTarget } from "../hold-target.ts";
import { describeHold } from "../output/describe-hold.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Lets later publishes go live again; what became ready meanwhile stays as it is. */
export const unhold: VerbHandler<"unhold"> = async ({ args, flags, output, api, pasteable }) => {
  const client = api();
  const target = await findHoldTarget(client, { what: args[0], all: flags.has("all") });
  const { name, argument } = target;
  const answer = await changeHold(client, "DELETE", target);
  output.emit(answer, () => {
    const { current, last_version: newest, held } = answer;
    const live = current === undefined ? "" : `; ${current ?? "nothing"} is live`;
    output.line(
      `${name} is ${held === null ? "not held any more" : `still held ${describeHold(held)}`}${live}`,
    );
    if (newest !== undefined && newest !== null && newest !== current)
      output.note(`the newest release is ${newest}: ${pasteable("activate", `${argument}@${newest}`)}`);
  });
  return EXIT.ok;
};
