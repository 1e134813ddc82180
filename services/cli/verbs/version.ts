import { EXIT } from "../../../proto/errors.ts";
import { cliVersion } from "../cli-version.ts";
import type { VerbHandler } from "../verb-context.ts";

interface FarmVersion {
  readonly version: string;
  readonly [part: string]: string | number;
}

/** Prints the version; asks the farm only with --farm. */
export const version: VerbHandler<"version"> = async ({ flags, output, api }) => {
  const farm = flags.has("farm") ? await api().get<FarmVersion>("/version") : undefined;
  const node = process.versions.node;
  output.emit({ version: cliVersion(), node, ...(farm === undefined ? {} : { farm }) }, () => {
    output.line(`granary ${cliVersion()} (node ${node})`);
    if (farm === undefined) return;
    const { version: farmVersion, ...parts } = farm;
    const detail = Object.entries(parts).map(([part, value]) => `${part.replaceAll("_", " ")} ${value}`);
    output.line(`farm    ${farmVersion} (${detail.join(", ")})`);
  });
  return EXIT.ok;
};
