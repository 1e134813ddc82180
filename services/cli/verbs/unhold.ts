import { EXIT } from "../../../proto/errors.ts";
import type { ProjectJson } from "../../../proto/http.ts";
import { findProject } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Lets later publishes go live again; what became ready meanwhile stays as it is. */
export const unhold: VerbHandler<"unhold"> = async ({ args, output, api }) => {
  const client = api();
  const { org, project, path } = await findProject(client, args[0] ?? "");
  const free = await client.command<ProjectJson>("DELETE", `${path}/holds`);
  output.emit(free, () => {
    output.line(`${org}/${project} is not held; ${free.current ?? "nothing"} is live`);
    if (free.last_version !== null && free.last_version !== free.current) {
      output.note(
        `the newest release is ${free.last_version}: granary activate ${org}/${project}@${free.last_version}`,
      );
    }
  });
  return EXIT.ok;
};
