import { EXIT } from "../../../proto/errors.ts";
import type { WhyJson } from "../../../proto/http-why.ts";
import { forFarm } from "../output/for-farm.ts";
import { printable } from "../output/format.ts";
import { findPublishId, findRelease } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Says why a publish, a release or a preview is as it is. */
export const why: VerbHandler<"why"> = async ({ args, output, api, pasteable }) => {
  const client = api();
  const given = args[0] ?? "";
  const answer = given.includes("@")
    ? await findRelease(client, given).then(({ path, ref }) =>
        client.get<WhyJson>(`${path}/releases/${encodeURIComponent(ref)}/why`),
      )
    : await client.get<WhyJson>(
        `/v1/publishes/${encodeURIComponent(await findPublishId(client, given))}/why`,
      );
  output.emit(answer, () => {
    output.line(`${nameOf(answer)} is ${answer.state}`);
    for (const { text } of answer.reasons) output.line(`  ${printable(forFarm(text, pasteable))}`);
    if (answer.next !== null) output.note(`next: ${pasteable(...answer.next.split(" ").slice(1))}`);
  });
  return EXIT.ok;
};

function nameOf({ about, org, project, publish_id, version, preview }: WhyJson): string {
  if (about === "release") return `${org}/${project}@${version}`;
  if (about === "preview") return `${org}/${project}@preview/${preview}`;
  return `${publish_id} of ${org}/${project}${version === undefined ? "" : ` (${version})`}`;
}
