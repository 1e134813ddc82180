import { EXIT } from "../../../proto/errors.ts";
import type { CurrentJson } from "../../../proto/http.ts";
import { describeHold } from "../output/describe-hold.ts";
import { printRelease } from "../output/print-release.ts";
import { findProject } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Shows what is live. */
export const current: VerbHandler<"current"> = async ({ args, output, api }) => {
  const client = api();
  const { path } = await findProject(client, args[0] ?? "");
  const live = await client.get<CurrentJson>(`${path}/current`);
  const { held } = live;
  output.emit(live, () => {
    if (output.quiet) output.line(live.image_ref);
    else
      printRelease(output, live, [
        ["generation", String(live.generation)],
        ["held", held === null ? undefined : describeHold(held)],
      ]);
  });
  return EXIT.ok;
};
