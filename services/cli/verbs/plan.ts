import path from "node:path";
import { type ErrorCode, EXIT, GranaryError } from "../../../proto/errors.ts";
import { type ImageLayer, imageRef } from "../../../proto/image.ts";
import { ARCHIVE_LIMITS } from "../../../proto/limits.ts";
import type { Name } from "../../../proto/names.ts";
import type { FlagName } from "../../../proto/verbs.ts";
import { formatBytes, plural, printable } from "../output/format.ts";
import { printFields } from "../output/print-fields.ts";
import { describeLeftOut } from "../publish/describe-left-out.ts";
import { detectCommit } from "../publish/detect-commit.ts";
import { type DirectoryPlan, planDirectory } from "../publish/plan-directory.ts";
import { type ProjectName, resolveProject } from "../publish/resolve-project.ts";
import { projectPath, tokenOrg } from "../references.ts";
import { type ComputedImage, computeImage } from "../tree/compute-image.ts";
import { walkDirectory } from "../tree/walk-directory.ts";
import type { VerbContext, VerbHandler } from "../verb-context.ts";

/**
 * Shows what publish would do with a directory. A farm that is there is asked what it lacks and keeps nothing of it; without one,
 * limits are the default ones, the org the saved one.
 */
export const plan: VerbHandler<"plan"> = async (context) => {
  const { args, flags, output, env, cwd, interrupted, settings } = context;
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
  const asked = await askFarm(context, named, computed);
  const org = asked.org ?? named.org ?? savedOrg;
  const { answer } = asked;
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
    missing_bytes: answer?.answer.missing_bytes ?? null,
    missing_blobs: answer?.answer.missing_blobs ?? null,
    listing_bytes: answer?.listingBytes ?? null,
    existing: answer?.answer.existing ?? null,
    current: answer?.answer.current?.version ?? null,
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
        "to send",
        answer === undefined
          ? `not known: ${asked.problem}`
          : `${plural(answer.answer.missing_blobs, "content")} of ${formatBytes(answer.answer.missing_bytes)}, and a listing of ${formatBytes(answer.listingBytes)}`,
      ],
      ["released", releasedAs(answer)],
      [
        "limits",
        `${percent(walked.entries.length, ARCHIVE_LIMITS.entries)} of the entries, ${percent(walked.sizeBytes, ARCHIVE_LIMITS.expandedBytes)} of the bytes allowed by default`,
      ],
      ["layers", describeLayers(computed.layers)],
      ["tree", computed.tree],
      ["image", predicted ?? `${digest} (the org decides the rest of the reference)`],
    ]);
    for (const line of describeLeftOut(walked.leftOut)) output.note(line);
    output.note(answer === undefined ? "nothing was sent" : "nothing was published");
  });
  for (const warning of warnings) output.warn(printable(warning));
  return EXIT.ok;
};

interface Asked {
  readonly org: Name | undefined;
  readonly answer: DirectoryPlan | undefined;
  readonly problem: string;
}

/** Each part of the image with its size; the slices of one together. */
function describeLayers(layers: readonly ImageLayer[]): string {
  const parts = new Map<string, { count: number; size: number }>();
  for (const { folder = "application", size } of layers) {
    const part = parts.get(folder) ?? { count: 0, size: 0 };
    parts.set(folder, { count: part.count + 1, size: part.size + size });
  }
  return [...parts]
    .map(
      ([folder, { count, size }]) =>
        `${folder} ${formatBytes(size)}${count > 1 ? ` in ${count} layers` : ""}`,
    )
    .join(", ");
}

/** What the farm would want to be sent; a farm that is not there or does not let us in is no failure here. */
async function askFarm(
  context: VerbContext<FlagName<"plan">>,
  named: ProjectName,
  computed: ComputedImage,
): Promise<Asked> {
  try {
    const api = context.api();
    const org = named.org ?? (await tokenOrg(api));
    const path = projectPath(org, named.project);
    return { org, answer: await planDirectory(api, path, computed.entries, { dryRun: true }), problem: "" };
  } catch (error) {
    if (error instanceof GranaryError && PASSED_OVER.has(error.code))
      return { org: undefined, answer: undefined, problem: printable(error.message) };
    throw error;
  }
}

const PASSED_OVER: ReadonlySet<ErrorCode> = new Set([
  "NO_FARM",
  "UNAVAILABLE",
  "UNAUTHENTICATED",
  "FORBIDDEN",
  "NOT_FOUND",
  "RATE_LIMITED",
]);

function releasedAs(plan: DirectoryPlan | undefined): string | undefined {
  const existing = plan?.answer.existing;
  if (existing === undefined) return undefined;
  return plan?.answer.current?.version === existing
    ? `${existing} has the same files and is live`
    : `${existing} has the same files`;
}

function percent(value: number, limit: number): string {
  const share = (100 * value) / limit;
  return `${share < 1 && value > 0 ? "<1" : Math.round(share)} %`;
}
