import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { FsckJson } from "../../../proto/http-store.ts";
import { formatBytes } from "../output/format.ts";
import { printFields } from "../output/print-fields.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Verifies the store; content that is damaged, or that a rebuilt index would lack, ends in the exit code of the store. */
export const storeFsck: VerbHandler<"store fsck"> = async ({ flags, output, api }) => {
  const subset = flags.text("subset");
  const match = /^([1-9][0-9]{0,3})\/([1-9][0-9]{0,3})$/.exec(subset ?? "1/1");
  if (!match)
    throw new GranaryError("USAGE", `--subset wants N/T, such as 1/7, not ${JSON.stringify(subset)}`);
  const result = await api().command<FsckJson>("POST", `/v1/store:fsck?part=${match[1]}&of=${match[2]}`, {});
  output.emit(result, () =>
    printFields(output, [
      [
        "checked",
        `${result.checked.toLocaleString("en-US")} blobs and layers, ${formatBytes(result.checked_bytes)}`,
      ],
      ["corrupt", named(result.corrupt, result.corrupt_digests)],
      ["missing", named(result.missing, result.missing_digests)],
      ["misframed", named(result.misframed, result.misframed_digests)],
      ["broken rows", named(result.broken_rows, result.broken_row_keys)],
      ["broken segments", named(result.broken_segments, result.broken_segment_names)],
      ["orphaned", named(result.orphaned, result.orphaned_files)],
    ]),
  );
  const { corrupt, missing, misframed, broken_rows: rows, broken_segments: segments } = result;
  return corrupt + missing + misframed + rows + segments === 0 ? EXIT.ok : EXIT.store;
};

function named(count: number, names: readonly string[]): string {
  return count === 0 ? "none" : `${count}: ${names.join(" ")}`;
}
