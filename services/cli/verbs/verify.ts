import { existsSync } from "node:fs";
import path from "node:path";
import { parseDigest } from "../../../proto/digest.ts";
import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { FileJson, PreviewJson, ReleaseJson } from "../../../proto/http.ts";
import { ARCHIVE_LIMITS } from "../../../proto/limits.ts";
import { RECIPE_VERSION, RECIPE_VERSIONS } from "../../../proto/split-tree.ts";
import type { FlagName } from "../../../proto/verbs.ts";
import type { ApiClient } from "../http/api-client.ts";
import { plural, printable } from "../output/format.ts";
import type { Output } from "../output/output.ts";
import { fetchArtifact, projectPath, refOfArtifact } from "../references.ts";
import { compareRelease } from "../tree/compare-release.ts";
import { type ComputedImage, computeImage } from "../tree/compute-image.ts";
import { diffFiles, type FileDifferences } from "../tree/diff-files.ts";
import { type WalkedDirectory, walkDirectory } from "../tree/walk-directory.ts";
import type { VerbContext, VerbHandler } from "../verb-context.ts";

/** Recomputes the image of a directory and compares it: with a digest offline, with a release by its reference. */
export const verify: VerbHandler<"verify"> = async (context) => {
  const { flags, output, cwd, interrupted, api } = context;
  const { directory, reference } = readArgs(context);
  const expected = expectedDigest(flags);
  const release = reference === undefined ? undefined : await fetchArtifact(api(), reference);
  const walked = walkDirectory({
    directory: path.resolve(cwd, directory),
    limits: ARCHIVE_LIMITS,
    gitignore: flags.has("gitignore"),
  });
  const wanted = release?.image_digest ?? expected;
  const computed = await computeAs(walked, { wanted, recipe: release?.recipe_version }, interrupted);
  const differences = release === undefined ? [] : compareRelease(computed, release);
  const matches =
    differences.length === 0 &&
    (wanted === undefined || wanted === computed.image.manifest.digest) &&
    (expected ?? wanted) === wanted;
  if (!matches) {
    const files =
      release === undefined || release.tree === computed.tree ? undefined : await filesOf(api(), release);
    const diff = files === undefined ? undefined : diffFiles(computed.entries, files);
    if (diff !== undefined) printDifferences(output, diff);
    throw mismatch(computed, { differences, expected: expected ?? wanted, release, diff });
  }
  const answer = {
    verified: wanted !== undefined,
    ...describe(computed),
    ...(release === undefined
      ? {}
      : { release: `${release.org}/${release.project}@${refOfArtifact(release)}` }),
  };
  output.emit(answer, () => {
    output.line(computed.image.manifest.digest);
    if (output.quiet) return;
    const against =
      release === undefined
        ? expected
        : `${release.org}/${release.project}@${refOfArtifact(release)} (${release.image_ref})`;
    output.note(
      against === undefined
        ? `${plural(walked.fileCount, "file")}; nothing to compare with was given`
        : `matches ${against}: ${plural(walked.fileCount, "file")}`,
    );
  });
  return EXIT.ok;
};

/** By the recipe of the release; a digest alone does not say which one made it, so older ones are tried too. */
async function computeAs(
  walked: WalkedDirectory,
  wanted: { wanted: string | undefined; recipe: number | undefined },
  signal: AbortSignal,
): Promise<ComputedImage> {
  const known = RECIPE_VERSIONS.find((version) => version === wanted.recipe);
  const computed = await computeImage(walked, signal, known ?? RECIPE_VERSION);
  if (wanted.recipe !== undefined || wanted.wanted === undefined) return computed;
  for (const older of RECIPE_VERSIONS) {
    if (computed.image.manifest.digest === wanted.wanted || older === RECIPE_VERSION) break;
    const other = await computeImage(walked, signal, older);
    if (other.image.manifest.digest === wanted.wanted) return other;
  }
  return computed;
}

/** `verify PATH REF`, `verify PATH`, or `verify REF` when there is no such path. */
function readArgs({ args, cwd }: VerbContext<FlagName<"verify">>): {
  directory: string;
  reference: string | undefined;
} {
  const [first, second] = args;
  if (first === undefined) return { directory: ".", reference: undefined };
  const isReference = second === undefined && first.includes("@") && !existsSync(path.resolve(cwd, first));
  return isReference ? { directory: ".", reference: first } : { directory: first, reference: second };
}

function expectedDigest(flags: VerbContext<FlagName<"verify">>["flags"]): string | undefined {
  const ref = flags.text("image-ref");
  const digest = flags.text("image-digest");
  if (ref !== undefined && digest !== undefined)
    throw new GranaryError("USAGE", "pass --image-ref or --image-digest, not both");
  const text = digest ?? ref?.slice(ref.lastIndexOf("@") + 1);
  if (text === undefined) return undefined;
  try {
    return parseDigest(text);
  } catch (cause) {
    throw new GranaryError(
      "USAGE",
      `${JSON.stringify((ref ?? text).slice(0, 200))} names no sha256 digest`,
      {},
      { cause },
    );
  }
}

function describe(computed: ComputedImage): Record<string, unknown> {
  return {
    image_digest: computed.image.manifest.digest,
    tree: computed.tree,
    recipe: computed.recipe,
    layers: computed.layers.map((layer) => ({
      digest: layer.digest,
      size: layer.size,
      folder: layer.folder ?? null,
    })),
  };
}

async function filesOf(api: ApiClient, release: ReleaseJson | PreviewJson): Promise<readonly FileJson[]> {
  const path = `${projectPath(release.org, release.project)}/releases/${encodeURIComponent(refOfArtifact(release))}/files`;
  return (await api.list<FileJson>(path, {}, ARCHIVE_LIMITS.entries, FILES_PAGE)).items;
}

/** Shown one by one; the rest is counted. */
const PATHS_SHOWN = 20;
const FILES_PAGE = 10_000;

function printDifferences(output: Output, diff: FileDifferences): void {
  const lines = [
    ...diff.changed.map((file) => `changed     ${printable(file)}`),
    ...diff.onlyHere.map((file) => `only here   ${printable(file)}`),
    ...diff.onlyThere.map((file) => `only there  ${printable(file)}`),
  ];
  for (const line of lines.slice(0, PATHS_SHOWN)) output.note(line);
  if (lines.length > PATHS_SHOWN) output.note(`and ${lines.length - PATHS_SHOWN} more; --json names all`);
}

interface Mismatch {
  readonly differences: readonly string[];
  readonly expected: string | undefined;
  readonly release: ReleaseJson | PreviewJson | undefined;
  readonly diff: FileDifferences | undefined;
}

function mismatch(computed: ComputedImage, found: Mismatch): GranaryError {
  const { differences, expected, release, diff } = found;
  const actual = computed.image.manifest.digest;
  const what =
    differences.length > 0 ? differences.join("; ") : `image digest ${actual}, expected ${expected}`;
  const subject =
    release === undefined ? "the directory" : `${release.org}/${release.project}@${refOfArtifact(release)}`;
  return new GranaryError("VERIFY_MISMATCH", `${subject} differs: ${what}`, {
    expected: release?.image_digest ?? expected ?? "",
    actual,
    tree: computed.tree,
    ...(differences.length === 0 ? {} : { differences }),
    ...(diff === undefined
      ? {}
      : { changed: diff.changed, only_here: diff.onlyHere, only_there: diff.onlyThere }),
  });
}
