import { EXIT } from "../../../proto/errors.ts";
import type { ProjectJson } from "../../../proto/http.ts";
import { formatTime } from "../output/format.ts";
import { findProject } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Keeps later publishes from going live. */
export const hold: VerbHandler<"hold"> = async ({ args, flags, output, api }) => {
  const client = api();
  const { org, project, path } = await findProject(client, args[0] ?? "");
  flags.durationMs("for");
  const [duration, reason] = [flags.text("for"), flags.text("reason")];
  const body = {
    ...(duration === undefined ? {} : { for: duration }),
    ...(reason === undefined ? {} : { reason }),
  };
  const held = await client.command<ProjectJson>("POST", `${path}/holds`, body);
  output.emit(held, () => {
    const until = held.held?.until;
    output.line(
      `${org}/${project} is held${until === undefined ? "" : ` until ${formatTime(until)}`}; ${held.current ?? "nothing"} stays live`,
    );
    output.note(`release it: granary unhold ${org}/${project}`);
  });
  return EXIT.ok;
};
