import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { FsckJson, FsckRepairedJson } from "../../../proto/http-store.ts";
import { formatBytes } from "../output/format.ts";
import { printFields } from "../output/print-fields.ts";
import type { VerbContext, VerbHandler } from "../verb-context.ts";

/**
 * Verifies the store; content that is damaged, or that a rebuilt index would lack, ends in the exit code of the store. After a repair
 * only what it could not repair does.
 */
export const storeFsck: VerbHandler<"store fsck"> = async ({ flags, output, api }) => {
  const subset = flags.text("subset");
  const match = /^([1-9][0-9]{0,3})\/([1-9][0-9]{0,3})$/.exec(subset ?? "1/1");
  if (!match)
    throw new GranaryError("USAGE", `--subset wants N/T, such as 1/7, not ${JSON.stringify(subset)}`);
  const repair = flags.has("repair") ? "&repair=true" : "";
  const path = `/v1/store:fsck?part=${match[1]}&of=${match[2]}${repair}`;
  const result = await api().command<FsckJson>("POST", path, {});
  const { corrupt, missing, misframed, broken_rows: rows, broken_segments: segments, repaired } = result;
  output.emit(result, () => {
    const checked = `${result.checked.toLocaleString("en-US")} blobs and layers, ${formatBytes(result.checked_bytes)}`;
    printFields(output, [
      ["checked", checked],
      ["corrupt", named(corrupt, result.corrupt_digests)],
      ["missing", named(missing, result.missing_digests)],
      ["misframed", named(misframed, result.misframed_digests)],
      ["broken rows", named(rows, result.broken_row_keys)],
      ["broken segments", named(segments, result.broken_segment_names)],
      ["orphaned", named(result.orphaned, result.orphaned_files)],
    ]);
    if (repaired !== undefined) printRepaired(output, repaired);
    else if (misframed + rows + segments + result.orphaned > 0)
      output.note("`granary store fsck --repair` repairs what can be");
  });
  if (repaired !== undefined) return repaired.lost === 0 && !repaired.needs_rebuild ? EXIT.ok : EXIT.store;
  return corrupt + missing + misframed + rows + segments === 0 ? EXIT.ok : EXIT.store;
};

function printRepaired(output: VerbContext["output"], repaired: FsckRepairedJson): void {
  const { lost, lost_references: references } = repaired;
  printFields(output, [
    ["pointed to another record", String(repaired.reindexed)],
    ["segments copied", String(repaired.rewritten_segments)],
    ["in quarantine or cut", named(repaired.removed, repaired.removed_files)],
    ["lost until published again", named(lost, repaired.lost_digests)],
  ]);
  for (const why of references) {
    for (const { org, project, ref, as, path } of why.references)
      output.line(`  ${why.digest}: ${org}/${project}@${ref}  ${as}${path === undefined ? "" : ` ${path}`}`);
  }
  if (lost > references.length) output.note("`granary store why DIGEST` tells the same of the others");
  if (repaired.needs_rebuild)
    output.note(
      "rows of the index are broken: stop the farm and run `granary store rebuild-index --data DIR`",
    );
}

function named(count: number, names: readonly string[]): string {
  return count === 0 ? "none" : `${count}: ${names.join(" ")}`;
}
