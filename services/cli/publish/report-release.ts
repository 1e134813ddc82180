import { writeFileSync } from "node:fs";
import { EXIT, GranaryError, isErrorCode } from "../../../proto/errors.ts";
import type { CurrentJson, PublishJson, ReleaseJson } from "../../../proto/http.ts";
import { holdArgument } from "../output/describe-hold.ts";
import type { Pasteable } from "../output/for-farm.ts";
import { formatBytes, formatCount, plural, printable } from "../output/format.ts";
import type { Output } from "../output/output.ts";
import { reportPreview } from "./report-preview.ts";

export interface ReportOptions {
  readonly output: Output;
  readonly publish: PublishJson;
  /** Exit 7 when the release is ready but not live. */
  readonly requireActive: boolean;
  /** File that gets the JSON, too; of a failure the caller writes it. */
  readonly outputFile: string | undefined;
  readonly pasteable: Pasteable;
  /** What was live before, when that is certain. */
  readonly was?: string | undefined;
}

/**
 * Shows what came of a publish that has ended: stdout `O/P@vN IMAGE_REF` (or the ref, or the JSON), the rest on stderr.
 * @returns exit code
 * @throws GranaryError what the publish failed with; NOT_ACTIVATED
 */
export function reportRelease(options: ReportOptions): number {
  const { output, publish, outputFile, requireActive } = options;
  if (publish.channel !== "production" && publish.state === "ready") {
    const document = reportPreview(options);
    writeOutputFile(outputFile, document);
    if (output.json) output.document(document);
    return EXIT.ok;
  }
  const release = releaseOf(publish);
  const refused = requireActive && !isLive(release);
  if (!output.json) printName(output, release);
  printSummary(options, { release, refused });
  if (refused) throw notActivated(release, whyNotLive(options, release));
  writeOutputFile(outputFile, release);
  if (output.json) output.document(release);
  return EXIT.ok;
}

/** Shows that nothing was published because what is live has the same image. @returns exit code */
export function reportUnchanged(
  options: Pick<ReportOptions, "output" | "outputFile"> & { current: CurrentJson },
): number {
  const { output, outputFile, current } = options;
  const release = { ...current, existing: true };
  if (!output.json) printName(output, release);
  output.note(`unchanged: ${release.version} is live with the same image; nothing was published`);
  writeOutputFile(outputFile, release);
  if (output.json) output.document(release);
  return EXIT.ok;
}

/** @throws GranaryError what the publish ended with when it is not ready */
function releaseOf(publish: PublishJson): ReleaseJson {
  if (publish.state === "ready" && publish.release !== undefined) return publish.release;
  const detail = { ...publish.error?.params, publish_id: publish.publish_id };
  if (publish.state === "cancelled")
    throw new GranaryError(
      "CANCELLED",
      publish.error?.detail ?? `publish ${publish.publish_id} was cancelled`,
      detail,
    );
  if (publish.state === "overtaken")
    throw new GranaryError(
      "OVERTAKEN",
      publish.error?.detail ?? `a newer publish overtook ${publish.publish_id}`,
      detail,
    );
  const { error } = publish;
  if (error !== undefined)
    throw new GranaryError(isErrorCode(error.code) ? error.code : "INTERNAL", error.detail, detail);
  throw new GranaryError(
    "INTERNAL",
    `publish ${publish.publish_id} ended as ${publish.state} without a release`,
    detail,
  );
}

function isLive(release: ReleaseJson): boolean {
  // Superseded by now, but it did go live; an existing release that is superseded was not made live by this.
  return release.state === "active" || (release.state === "superseded" && release.existing !== true);
}

function printName(output: Output, release: ReleaseJson): void {
  const name = `${release.org}/${release.project}@${release.version}`;
  output.line(output.quiet ? release.image_ref : `${name} ${release.image_ref}`);
}

function printSummary(options: ReportOptions, about: { release: ReleaseJson; refused: boolean }): void {
  const { output, pasteable } = options;
  const { release, refused } = about;
  for (const warning of release.warnings) output.warn(printable(warning));
  // Why it is not live is the error's message then.
  output.note(refused ? sizes(release) : `${sizes(release)}; ${standing(options, release)}`);
  if (!isLive(release) && !refused) {
    output.note(
      `let it go live: ${pasteable("activate", `${release.org}/${release.project}@${release.version}`)}`,
    );
  }
}

function sizes(release: ReleaseJson): string {
  const { stats } = release;
  const files = plural(release.file_count, "file");
  if (release.existing === true) return `${files}; identical to an existing release`;
  const sent = `${files}, ${formatBytes(stats.uploaded_bytes)} sent`;
  return `${sent}; ${plural(stats.new_blobs, "new file")} (${formatBytes(stats.new_blob_bytes)}), ${formatCount(stats.reused_blobs)} reused`;
}

function standing(options: ReportOptions, release: ReleaseJson): string {
  const { was } = options;
  if (release.state === "active") {
    if (release.existing === true) return `${release.version} is live`;
    return `live as ${release.version}${was === undefined || was === release.version ? "" : ` (was ${was})`}`;
  }
  if (isLive(release)) return `went live as ${release.version}, and a newer release has taken its place`;
  return `ready as ${release.version}, NOT live: ${whyNotLive(options, release)}`;
}

function whyNotLive(options: ReportOptions, release: ReleaseJson): string {
  if (release.existing === true) return "an existing release is never made live again by publishing";
  switch (release.not_activated_reason) {
    case "held":
      return whyHeld(options, release);
    case "older":
      return "a publish that was accepted later is live already";
    case "not_requested":
      return "it was published with --no-activate";
    default:
      return `the release is ${release.state}`;
  }
}

function whyHeld({ publish: { held }, pasteable }: ReportOptions, release: ReleaseJson): string {
  if (held === null) return "it was held when it became ready; that hold is over";
  const level = held?.level ?? "project";
  const what = { project: "the project", org: `the org ${release.org}`, farm: "the whole farm" }[level];
  const unhold = pasteable("unhold", holdArgument({ level }, release));
  return `${what} is held; \`${unhold}\` lets later publishes go live again`;
}

function notActivated(release: ReleaseJson, why: string): GranaryError {
  const ref = `${release.org}/${release.project}@${release.version}`;
  return new GranaryError("NOT_ACTIVATED", `${ref} is ready but not live: ${why}`, {
    org: release.org,
    project: release.project,
    version: release.version,
    image_ref: release.image_ref,
    publish_id: release.publish_id,
    hint: `Let it go live: \`granary activate ${ref}\`.`,
    ...(release.not_activated_reason === undefined
      ? {}
      : { not_activated_reason: release.not_activated_reason }),
  });
}

/** @throws GranaryError USAGE when the file cannot be written */
export function writeOutputFile(file: string | undefined, document: unknown): void {
  if (file === undefined || file === "") return;
  try {
    writeFileSync(file, `${JSON.stringify(document)}\n`);
  } catch (cause) {
    throw new GranaryError("USAGE", `GRANARY_OUTPUT_FILE ${file} cannot be written`, { file }, { cause });
  }
}
