import { EXIT } from "../../../proto/errors.ts";
import { formatBytes } from "../output/format.ts";
import { printFields } from "../output/print-fields.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Shows what the store holds: counts as they are, bytes as people read them. */
export const storeStat: VerbHandler<"store stat"> = async ({ output, api }) => {
  const stat = await api().get<Readonly<Record<string, number>>>("/v1/store");
  output.emit(stat, () =>
    printFields(
      output,
      Object.entries(stat).map(([key, value]) => [
        key.replace(/_bytes$/, "").replaceAll("_", " "),
        key.endsWith("_bytes") ? formatBytes(value) : value.toLocaleString("en-US"),
      ]),
    ),
  );
  return EXIT.ok;
};
