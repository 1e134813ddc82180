import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { ReleaseJson } from "../../../proto/http.ts";
import { findRelease } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Ends a release. It has to be named by its version: a commit or `current` may mean another one a moment later. */
export const retire: VerbHandler<"retire"> = async ({ args, flags, output, api, pasteable }) => {
  const client = api();
  const { org, project, path, ref } = await findRelease(client, args[0] ?? "");
  if (!/^v[0-9]+$/.test(ref))
    throw new GranaryError(
      "USAGE",
      `name the release by its version: ${pasteable("retire", `${org}/${project}@vN`)}`,
    );
  const reason = flags.text("reason");
  const release = await client.command<ReleaseJson>(
    "POST",
    `${path}/releases/${ref}:retire`,
    reason === undefined ? {} : { reason },
  );
  output.emit(release, () => output.line(`${org}/${project}@${ref} is retired`));
  return EXIT.ok;
};
