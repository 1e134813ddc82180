import { EXIT } from "../../../proto/errors.ts";
import { printPreview } from "../output/print-preview.ts";
import { printRelease } from "../output/print-release.ts";
import { fetchArtifact } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Shows one release or preview. */
export const show: VerbHandler<"show"> = async ({ args, output, api }) => {
  const artifact = await fetchArtifact(api(), args[0] ?? "");
  output.emit(artifact, () => {
    if (output.quiet) output.line(artifact.image_ref);
    else if ("version" in artifact) printRelease(output, artifact);
    else printPreview(output, artifact);
  });
  return EXIT.ok;
};
