import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { PointerChangeJson, ReleaseJson } from "../../../proto/http.ts";
import { holdArgument } from "../output/describe-hold.ts";
import { pointerBody } from "../pointer-body.ts";
import { findRelease } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Lets a release go live. Activating the live release changes nothing and succeeds. */
export const activate: VerbHandler<"activate"> = async ({ args, flags, output, api, pasteable }) => {
  const client = api();
  const { org, project, path, ref } = await findRelease(client, args[0] ?? "");
  if (ref === "current")
    throw new GranaryError("USAGE", `name the release: ${pasteable("activate", `${org}/${project}@vN`)}`);
  if (ref.startsWith("preview/"))
    throw new GranaryError(
      "USAGE",
      `a preview is promoted: ${pasteable("preview", "promote", `${org}/${project}`, ref.slice("preview/".length))}`,
    );
  // The API takes versions only; a commit is looked up first.
  const version = /^v[0-9]+$/.test(ref)
    ? ref
    : (await client.get<ReleaseJson>(`${path}/releases/${ref}`)).version;
  const change = await client.command<PointerChangeJson>("POST", `${path}/activations`, {
    version,
    ...pointerBody(flags),
  });
  output.emit(change, () => {
    if (!change.changed)
      output.line(`${org}/${project}@${change.to} is live already (generation ${change.generation})`);
    else
      output.line(
        `${org}/${project}: ${change.from ?? "nothing"} -> ${change.to} (generation ${change.generation})`,
      );
    output.note(`image ${change.image_ref}`);
    if (change.changed && change.from !== null)
      output.note(`undo: ${pasteable("activate", `${org}/${project}@${change.from}`)}`);
    if (change.held !== null)
      output.note(
        `held: later publishes do not go live until: ${pasteable("unhold", holdArgument(change.held, { org, project }))}`,
      );
  });
  return EXIT.ok;
};
