import { EXIT } from "../../../proto/errors.ts";
import { changeHold, findHoldTarget } from "../hold-target.ts";
import { formatTime } from "../output/format.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Keeps later publishes from going live. */
export const hold: VerbHandler<"hold"> = async ({ args, flags, output, api, pasteable }) => {
  const client = api();
  const target = await findHoldTarget(client, { what: args[0], all: flags.has("all") });
  const { name, argument } = target;
  flags.durationMs("for");
  const [duration, reason] = [flags.text("for"), flags.text("reason")];
  const body = {
    ...(duration === undefined ? {} : { for: duration }),
    ...(reason === undefined ? {} : { reason }),
  };
  const answer = await changeHold(client, "POST", target, body);
  output.emit(answer, () => {
    const until = answer.held?.until;
    const live = answer.current === undefined ? "what is live" : (answer.current ?? "nothing");
    output.line(
      `${name} is held${until === undefined ? "" : ` until ${formatTime(until)}`}; ${live} stays live`,
    );
    output.note(`release it: ${pasteable("unhold", argument)}`);
  });
  return EXIT.ok;
};
