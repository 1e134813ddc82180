import { EXIT } from "../../../proto/errors.ts";
import type { StoreWhyJson } from "../../../proto/http-store.ts";
import { formatBytes } from "../output/format.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Names what keeps a blob; one that is neither stored nor referenced ends in the exit code of what is not found. */
export const storeWhy: VerbHandler<"store why"> = async ({ args, output, api }) => {
  const why = await api().get<StoreWhyJson>(`/v1/store/why/${encodeURIComponent(args[0] ?? "")}`);
  const { stored, references } = why;
  output.emit(why, () => {
    output.line(
      stored === null
        ? `${why.digest}: not stored`
        : `${why.digest}: stored, ${stored.kind}, ${formatBytes(stored.size)}`,
    );
    for (const { org, project, ref, as, path } of references)
      output.line(`  ${org}/${project}@${ref}  ${as}${path === undefined ? "" : ` ${path}`}`);
    if (why.truncated) output.note("there may be more");
    else if (references.length === 0 && stored !== null)
      output.note(
        "no release and no preview needs it: garbage collection takes it, unless a publish is using it",
      );
  });
  return stored === null && references.length === 0 ? EXIT.notFound : EXIT.ok;
};
