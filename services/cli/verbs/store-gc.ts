import { EXIT } from "../../../proto/errors.ts";
import type { DamagedListingJson, GcJson } from "../../../proto/http-store.ts";
import { WHOLE_STORE_MS } from "../http/api-client.ts";
import { formatBytes, formatCount } from "../output/format.ts";
import { tellIfSlow } from "../output/tell-if-slow.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Collects garbage, or says what a run would bring. */
export const storeGc: VerbHandler<"store gc"> = async ({ flags, output, api }) => {
  const dryRun = flags.has("dry-run");
  const grace = flags.text("grace");
  const query = new URLSearchParams({
    ...(dryRun ? { dry_run: "true" } : {}),
    ...(grace === undefined ? {} : { grace }),
  }).toString();
  const path = `/v1/store:gc${query === "" ? "" : `?${query}`}`;
  const collecting = api().command<GcJson>("POST", path, {}, { idleMs: WHOLE_STORE_MS });
  const result = await tellIfSlow(output, "the farm looks for what nothing needs...", collecting);
  output.emit(result, () => {
    const bytes = result.reclaimable_bytes ?? result.reclaimed_bytes ?? 0;
    const blobs = `${formatCount(result.blobs)} blobs`;
    output.line(
      dryRun
        ? `${formatBytes(bytes)} could be had back (${bytes} bytes; ${blobs} that nothing needs)`
        : `${formatBytes(bytes)} freed (${bytes} bytes; ${blobs}, ${result.segments} segments)`,
    );
    if (!dryRun && result.waiting_blobs > 0)
      output.note(`${formatBytes(result.waiting_bytes)} more go later: in their undo period, or being read`);
    if ((result.dead_bytes ?? 0) >= DEAD_NOTED_BYTES)
      output.note(
        `${formatBytes(result.dead_bytes ?? 0)} are left in segments that are in use; a later run gets them`,
      );
  });
  for (const { digest, references } of result.damaged ?? [])
    output.warn(
      `the listing ${digest} is damaged, and nothing is left to make it anew from${ofWhom(references)}`,
    );
  if ((result.held_back_blobs ?? 0) === 0) return EXIT.ok;
  output.warn(
    `${formatBytes(result.held_back_bytes ?? 0)} (${result.held_back_blobs} blobs) that nothing else names are kept: it may name them. Content that came later is collected.`,
  );
  output.warn(
    "Publish the same content again, or activate another release and retire this one; then collect again.",
  );
  return EXIT.store;
};

function ofWhom(references: DamagedListingJson["references"]): string {
  const names = references.slice(0, NAMED).map(({ org, project, ref }) => `${org}/${project}@${ref}`);
  const more = references.length > NAMED ? ` and ${references.length - NAMED} more` : "";
  return names.length === 0 ? "" : `: ${names.join(", ")}${more}`;
}

/** Releases that a line names. */
const NAMED = 5;

/** Less than this is what compaction leaves on purpose. */
const DEAD_NOTED_BYTES = 1024 * 1024;
