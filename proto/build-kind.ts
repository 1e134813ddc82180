import type { KartaManifest } from "./karta-toml.ts";

export type BuildKind = "dockerfile" | "buildpack" | "file_copy";

/** What the archive asks for, what is done about it, and why. */
export interface BuildPlan {
  readonly build_kind: BuildKind;
  readonly build_reason: string;
  /** Set when what was executed is not what was asked for. */
  readonly requested_kind?: BuildKind;
  readonly execution: BuildKind;
  readonly warnings: readonly string[];
}

/**
 * Build-kind resolution, in order: a Dockerfile at the root, a `buildpack` key, neither. Where the farm builds no images, such
 * releases are recorded as what they are and executed as file_copy, visibly.
 */
export function resolveBuild(options: {
  hasDockerfile: boolean;
  karta: KartaManifest | undefined;
  imageBuilds: boolean;
}): BuildPlan {
  const { hasDockerfile, karta, imageBuilds } = options;
  if (hasDockerfile) return planned("dockerfile", "a Dockerfile lies at the archive's root", imageBuilds);
  if (karta?.buildpack !== undefined)
    return planned("buildpack", `karta.toml sets buildpack = "${karta.buildpack}"`, imageBuilds);
  const reason =
    karta === undefined
      ? "neither a Dockerfile nor a karta.toml"
      : "no Dockerfile, and karta.toml sets no buildpack";
  return planned("file_copy", reason, imageBuilds);
}

function planned(kind: BuildKind, reason: string, imageBuilds: boolean): BuildPlan {
  if (kind === "file_copy" || imageBuilds)
    return { build_kind: kind, build_reason: reason, execution: kind, warnings: [] };
  return {
    build_kind: kind,
    build_reason: `${reason}; executed as file_copy because image builds are not enabled on this farm`,
    requested_kind: kind,
    execution: "file_copy",
    warnings: [`image builds are not enabled: this ${kind} release runs its file tree directly (file_copy)`],
  };
}
