import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { PointerChangeJson } from "../../../proto/http.ts";
import { parseVersion } from "../../../proto/names.ts";
import { formatTime } from "../output/format.ts";
import { printFields } from "../output/print-fields.ts";
import { pointerBody } from "../pointer-body.ts";
import { findProject } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Goes back to an earlier release, and says how to come back. */
export const rollback: VerbHandler<"rollback"> = async ({ args, flags, output, api, pasteable }) => {
  const to = flags.text("to");
  if (to !== undefined) checkVersion(to);
  const client = api();
  const { org, project, path } = await findProject(client, args[0] ?? "");
  const change = await client.command<PointerChangeJson>("POST", `${path}/rollbacks`, {
    ...(to === undefined ? {} : { to }),
    ...pointerBody(flags),
  });
  output.emit(change, () => {
    output.line(
      change.changed
        ? `${org}/${project}: rolled back ${change.from ?? "nothing"} -> ${change.to}`
        : `${org}/${project}: ${change.to} is live already`,
    );
    printFields(output, [
      ["from", change.from === null ? undefined : `${change.from}${liveSince(change)}`],
      ["to", `${change.to}  ${change.image_ref}`],
      ["when", formatTime(change.activated_at)],
      ["by", change.activated_by],
      ["generation", change.generation],
      [
        "undo",
        change.from === null || !change.changed
          ? undefined
          : pasteable("activate", `${org}/${project}@${change.from}`),
      ],
    ]);
    if (change.held !== null)
      output.note(
        `held: later publishes become ready but do not go live until: ${pasteable("unhold", `${org}/${project}`)}`,
      );
  });
  return EXIT.ok;
};

/** @throws GranaryError USAGE */
function checkVersion(text: string): void {
  if (parseVersion(text) !== undefined) return;
  const meant = parseVersion(`v${text}`) === undefined ? "" : `; did you mean v${text}?`;
  throw new GranaryError("USAGE", `--to wants a version such as v3, not ${JSON.stringify(text)}${meant}`);
}

function liveSince(change: PointerChangeJson): string {
  if (change.from_activated_at === undefined) return "";
  const by = change.from_activated_by === undefined ? "" : ` by ${change.from_activated_by}`;
  return `, live since ${formatTime(change.from_activated_at)}${by}`;
}
