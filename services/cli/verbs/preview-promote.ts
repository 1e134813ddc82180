import { EXIT } from "../../../proto/errors.ts";
import type { ReleaseJson } from "../../../proto/http.ts";
import { pointerBody } from "../pointer-body.ts";
import { findPreview } from "../preview-path.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Makes what a preview shows a release, and lets it go live. */
export const previewPromote: VerbHandler<"preview promote"> = async ({
  args,
  flags,
  output,
  api,
  pasteable,
}) => {
  const client = api();
  const { org, project, path, reference } = await findPreview(client, args);
  const release = await client.command<ReleaseJson>("POST", `${path}:promote`, {
    ...(flags.has("no-activate") ? { activate: false } : {}),
    ...pointerBody(flags),
  });
  const name = `${org}/${project}@${release.version}`;
  output.emit(release, () => {
    output.line(output.quiet ? release.image_ref : `${name} ${release.image_ref}`);
    if (release.existing === true) output.note(`${reference} was ${release.version} already; nothing moved`);
    if (release.activated) output.note(`live as ${release.version}, from ${reference} without a rebuild`);
    else output.note(`ready as ${release.version}, NOT live${why(release)}: ${pasteable("activate", name)}`);
  });
  return EXIT.ok;
};

function why(release: ReleaseJson): string {
  return release.not_activated_reason === undefined ? "" : ` (${release.not_activated_reason})`;
}
