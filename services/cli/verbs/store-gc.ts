import { EXIT } from "../../../proto/errors.ts";
import type { GcJson } from "../../../proto/http-store.ts";
import { formatBytes } from "../output/format.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Collects garbage, or says what a run would bring. */
export const storeGc: VerbHandler<"store gc"> = async ({ flags, output, api }) => {
  const dryRun = flags.has("dry-run");
  const grace = flags.text("grace");
  const query = new URLSearchParams({
    ...(dryRun ? { dry_run: "true" } : {}),
    ...(grace === undefined ? {} : { grace }),
  }).toString();
  const result = await api().command<GcJson>("POST", `/v1/store:gc${query === "" ? "" : `?${query}`}`, {});
  output.emit(result, () => {
    const bytes = result.reclaimable_bytes ?? result.reclaimed_bytes ?? 0;
    const blobs = `${result.blobs.toLocaleString("en-US")} blobs`;
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
  return EXIT.ok;
};

/** Less than this is what compaction leaves on purpose. */
const DEAD_NOTED_BYTES = 1024 * 1024;
