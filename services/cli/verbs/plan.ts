import path from "node:path";
import { EXIT } from "../../../proto/errors.ts";
import { imageRef } from "../../../proto/image.ts";
import { ARCHIVE_LIMITS } from "../../../proto/limits.ts";
import { formatBytes, plural, printable } from "../output/format.ts";
import { printFields } from "../output/print-fields.ts";
import { describeLeftOut } from "../publish/describe-left-out.ts";
import { detectCommit } from "../publish/detect-commit.ts";
import { resolveProject } from "../publish/resolve-project.ts";
import { computeImage } from "../tree/compute-image.ts";
import { walkDirectory } from "../tree/walk-directory.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Shows what publish would do with a directory. Makes no request: limits are the default ones, the org the saved one. */
export const plan: VerbHandler<"plan"> = async ({ args, flags, output, env, cwd, interrupted, settings }) => {
  const directory = path.resolve(cwd, args[0] ?? ".");
  const walked = walkDirectory({ directory, limits: ARCHIVE_LIMITS, gitignore: flags.has("gitignore") });
  const computed = await computeImage(walked, interrupted);
  const { url, org: savedOrg, project: configured } = settings();
  const named = resolveProject({
    flag: flags.text("project"),
    configured,
    kartaName: computed.karta?.name,
    file: directory,
  });
  const commit = await detectCommit({ flag: flags.text("commit"), env, directory: walked.root });
  const org = named.org ?? savedOrg;
  const digest = computed.image.manifest.digest;
  const predicted = org === undefined ? null : imageRef(new URL(url.value).host, org, named.project, digest);
  const warnings = [...walked.warnings, ...(computed.karta?.warnings ?? []), ...computed.build.warnings];
  const document = {
    org: org ?? null,
    project: named.project,
    commit: commit.commit ?? null,
    dirty: commit.dirty,
    build_kind: computed.build.build_kind,
    build_reason: computed.build.build_reason,
    execution: computed.build.execution,
    entry_point: computed.karta?.entryPoint ?? null,
    file_count: walked.fileCount,
    entry_count: walked.entries.length,
    size_bytes: walked.sizeBytes,
    tree: computed.tree,
    image_digest: digest,
    image_ref: predicted,
    layers: computed.layers.map((layer) => ({
      digest: layer.digest,
      size: layer.size,
      folder: layer.folder ?? null,
    })),
    left_out: walked.leftOut.map(({ path: leftOut, by }) => ({ path: leftOut, by })),
    limits: {
      entries: ARCHIVE_LIMITS.entries,
      expanded_bytes: ARCHIVE_LIMITS.expandedBytes,
      file_bytes: ARCHIVE_LIMITS.fileBytes,
    },
    warnings,
  };
  output.emit(document, () => {
    if (output.quiet) {
      output.line(predicted ?? digest);
      return;
    }
    printFields(output, [
      ["project", `${org ?? "(the token's org)"}/${named.project}, named by ${named.source}`],
      [
        "commit",
        commit.commit === undefined
          ? `none: ${commit.from}`
          : `${commit.commit}${commit.dirty ? " (dirty)" : ""}, from ${commit.from}`,
      ],
      ["build", `${computed.build.build_kind}: ${computed.build.build_reason}`],
      ["entry point", computed.karta?.entryPoint],
      ["content", `${plural(walked.fileCount, "file")}, ${formatBytes(walked.sizeBytes)} before compression`],
      [
        "limits",
        `${percent(walked.entries.length, ARCHIVE_LIMITS.entries)} of the entries, ${percent(walked.sizeBytes, ARCHIVE_LIMITS.expandedBytes)} of the bytes allowed by default`,
      ],
      [
        "layers",
        computed.layers
          .map((layer) => `${layer.folder ?? "application"} ${formatBytes(layer.size)}`)
          .join(", "),
      ],
      ["tree", computed.tree],
      ["image", predicted ?? `${digest} (the org decides the rest of the reference)`],
    ]);
    for (const line of describeLeftOut(walked.leftOut)) output.note(line);
    output.note("nothing was sent");
  });
  for (const warning of warnings) output.warn(printable(warning));
  return EXIT.ok;
};

function percent(value: number, limit: number): string {
  const share = (100 * value) / limit;
  return `${share < 1 && value > 0 ? "<1" : Math.round(share)} %`;
}
