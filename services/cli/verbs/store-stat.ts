import { EXIT } from "../../../proto/errors.ts";
import type { GcRunJson, StoreJson } from "../../../proto/http-store.ts";
import { formatBytes, formatCount, formatTime } from "../output/format.ts";
import { printFields } from "../output/print-fields.ts";
import { scrubText } from "../output/scrub-text.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Shows what the store holds: counts as they are, bytes as people read them. */
export const storeStat: VerbHandler<"store stat"> = async ({ output, api }) => {
  const stat = await api().get<StoreJson>("/v1/store");
  const { last_gc: lastGc, scrub, ...sizes } = stat;
  output.emit(stat, () =>
    printFields(output, [
      ...Object.entries(sizes).map(([key, value]): [string, string] => [
        key.replace(/_bytes$/, "").replaceAll("_", " "),
        textOf(key, value),
      ]),
      ["last gc", lastGc === null ? "none since the start" : gcText(lastGc)],
      ["scrub", scrubText(scrub)],
    ]),
  );
  return EXIT.ok;
};

function textOf(key: string, value: number | null): string {
  if (value === null) return "none";
  return key.endsWith("_bytes") ? formatBytes(value) : formatCount(value);
}

function gcText(run: GcRunJson): string {
  const what =
    run.error === undefined
      ? `${formatBytes(run.reclaimed_bytes ?? 0)} freed, ${formatBytes(run.waiting_bytes ?? 0)} waiting`
      : `failed: ${run.error}`;
  const held =
    run.held_back_blobs === undefined
      ? ""
      : `; damaged listings hold ${formatBytes(run.held_back_bytes ?? 0)}`;
  return `${formatTime(run.at)} (${run.cause}): ${what}${held}`;
}
