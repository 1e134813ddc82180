import { isDigest } from "../../../proto/digest.ts";
import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { StoreWhyJson } from "../../../proto/http-store.ts";
import { formatBytes } from "../output/format.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Names what keeps a blob; one that is neither stored nor referenced ends in the exit code of what is not found. */
export const storeWhy: VerbHandler<"store why"> = async ({ args, output, api }) => {
  const [digest = ""] = args;
  if (!isDigest(digest))
    throw new GranaryError(
      "USAGE",
      `not a digest: ${JSON.stringify(digest.slice(0, 80))}; they are sha256:HEX`,
    );
  const why = await api().get<StoreWhyJson>(`/v1/store/why/${digest}`);
  const { stored, references } = why;
  output.emit(why, () => {
    output.line(
      stored === null
        ? `${why.digest}: not stored`
        : `${why.digest}: stored, ${stored.kind}, ${formatBytes(stored.size)}`,
    );
    if (why.damaged === true)
      output.note(
        "it is damaged, and counts as absent: publishing it again heals it (granary store fsck --repair)",
      );
    if (why.condemned !== undefined)
      output.note(
        `nothing named it at ${why.condemned.at}: it counts as absent, and may be deleted from ${why.condemned.undo_until} on, unless it is published again`,
      );
    for (const { org, project, ref, as, path } of references)
      output.line(`  ${org}/${project}@${ref}  ${as}${path === undefined ? "" : ` ${path}`}`);
    if (why.truncated) output.note("there may be more");
    else if (references.length === 0 && stored !== null)
      output.note("nothing needs it: the next garbage collection takes it");
  });
  const isKnown = stored !== null || why.damaged === true || why.condemned !== undefined;
  return !isKnown && references.length === 0 ? EXIT.notFound : EXIT.ok;
};
