import { EXIT } from "../../../proto/errors.ts";
import { printRelease } from "../output/print-release.ts";
import { fetchRelease } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Shows one release. */
export const show: VerbHandler<"show"> = async ({ args, output, api }) => {
  const release = await fetchRelease(api(), args[0] ?? "");
  output.emit(release, () => (output.quiet ? output.line(release.image_ref) : printRelease(output, release)));
  return EXIT.ok;
};
