import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { FsckJson, FsckRepairedJson, HealedJson } from "../../../proto/http-store.ts";
import { healFrom } from "../heal-from.ts";
import { WHOLE_STORE_MS } from "../http/api-client.ts";
import { formatBytes, formatCount } from "../output/format.ts";
import { printFields } from "../output/print-fields.ts";
import { tellIfSlow } from "../output/tell-if-slow.ts";
import type { VerbContext, VerbHandler } from "../verb-context.ts";

/**
 * Verifies the store; content that is damaged, or that a rebuilt index would lack, ends in the exit code of the store. After a repair
 * only what it could not repair does.
 */
export const storeFsck: VerbHandler<"store fsck"> = async ({ flags, output, api, apiOf, pasteable }) => {
  const subset = flags.text("subset");
  const match = /^([1-9][0-9]{0,3})\/([1-9][0-9]{0,3})$/.exec(subset ?? "1/1");
  if (!match)
    throw new GranaryError("USAGE", `--subset wants N/T, such as 1/7, not ${JSON.stringify(subset)}`);
  const from = flags.text("from");
  if (from !== undefined && !flags.has("repair"))
    throw new GranaryError("USAGE", "--from goes with --repair");
  const peer = from === undefined ? undefined : apiOf(from);
  if (peer?.url === api().url)
    throw new GranaryError("USAGE", `context ${from} is the farm itself: ${peer?.url}`);
  const repair = flags.has("repair") ? "&repair=true" : "";
  const path = `/v1/store:fsck?part=${match[1]}&of=${match[2]}${repair}`;
  const checking = api().command<FsckJson>("POST", path, {}, { idleMs: WHOLE_STORE_MS });
  const result = await tellIfSlow(output, "the farm reads and verifies its content...", checking);
  const { corrupt, missing, misframed, broken_rows: rows, broken_segments: segments, repaired } = result;
  const { wrong_accounts: accounts, broken_roots: roots } = result;
  const healed = peer === undefined ? undefined : await healFrom(peer, api());
  output.emit({ ...result, ...(healed !== undefined && { healed }) }, () => {
    const checked = `${formatCount(result.checked)} blobs and layers, ${formatBytes(result.checked_bytes)}`;
    printFields(output, [
      ["checked", checked],
      ["corrupt", named(corrupt, result.corrupt_digests)],
      ["missing", named(missing, result.missing_digests)],
      ["misframed", named(misframed, result.misframed_digests)],
      ["broken rows", named(rows, result.broken_row_keys)],
      ["broken segments", named(segments, result.broken_segment_names)],
      ["wrong accounts", named(accounts, result.wrong_account_names)],
      ["broken roots", named(roots, result.broken_root_paths)],
      ["orphaned", named(result.orphaned, result.orphaned_files)],
    ]);
    if (repaired !== undefined) printRepaired({ output, pasteable }, repaired);
    else if (misframed + rows + segments + accounts + roots + result.orphaned > 0)
      output.note(`repair what can be: ${pasteable("store", "fsck", "--repair")}`);
    if (healed !== undefined) printHealed(output, healed, repaired);
  });
  if (repaired !== undefined) return isWhole(repaired, healed) ? EXIT.ok : EXIT.store;
  return corrupt + missing + misframed + rows + segments + accounts + roots === 0 ? EXIT.ok : EXIT.store;
};

/** What came from another farm is not lost any more; what lacked it may need another run. */
function isWhole(repaired: FsckRepairedJson, healed: HealedJson | undefined): boolean {
  const { lost, needs_rebuild: needsRebuild, failed_roots: failedRoots } = repaired;
  return (healed?.not_there ?? lost) + failedRoots.length === 0 && !needsRebuild;
}

function printHealed(
  output: VerbContext["output"],
  healed: HealedJson,
  repaired: FsckRepairedJson | undefined,
): void {
  printFields(output, [
    [`fetched from ${healed.from}`, `${healed.healed} blobs, ${formatBytes(healed.healed_bytes)}`],
    ["not to be had there", named(healed.not_there, healed.not_there_digests)],
  ]);
  if (healed.healed > 0 && (repaired?.failed_roots.length ?? 0) > 0)
    output.note("run it again: roots can be made anew of what has come");
}

function printRepaired(
  { output, pasteable }: Pick<VerbContext, "output" | "pasteable">,
  repaired: FsckRepairedJson,
): void {
  const { lost, lost_references: references } = repaired;
  printFields(output, [
    ["pointed to another record", String(repaired.reindexed)],
    ["segments copied", String(repaired.rewritten_segments)],
    ["in quarantine or cut", named(repaired.removed, repaired.removed_files)],
    ["accounts set right", String(repaired.corrected_accounts)],
    ["roots made anew", String(repaired.remade_roots)],
    ["roots that could not be", named(repaired.failed_roots.length, repaired.failed_roots)],
    ["lost until published again", named(lost, repaired.lost_digests)],
  ]);
  for (const why of references) {
    for (const { org, project, ref, as, path } of why.references)
      output.line(`  ${why.digest}: ${org}/${project}@${ref}  ${as}${path === undefined ? "" : ` ${path}`}`);
  }
  if (lost > references.length)
    output.note(`\`${pasteable("store", "why", "DIGEST")}\` tells the same of the others`);
  if (repaired.needs_rebuild)
    output.note(
      "rows of the index are broken: stop the farm and run `granary store rebuild-index --data DIR`",
    );
}

function named(count: number, names: readonly string[]): string {
  return count === 0 ? "none" : `${count}: ${names.join(" ")}`;
}
