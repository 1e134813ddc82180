import type { Digest } from "../../../proto/digest.ts";
import type { ReleaseRecord } from "../../../proto/records.ts";
import { KEYS, RANGES, type RepositoryDigestRow } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/**
 * What the project's repository serves because of its releases (ruling 8). Most projects never retire anything, and logs from
 * before retirement have to give the state that they gave: so references are counted from the first retirement on, which
 * counts those of all kept releases once.
 */
export function addReferences(step: Step, release: ReleaseRecord): void {
  const counts = step.openProject().counts_references === true;
  for (const [digest, row] of digestsOf(release)) {
    const key = KEYS.repositoryDigest(release, digest);
    const known = step.get(key);
    if (known === undefined) step.put<RepositoryDigestRow>(key, { ...row, ...(counts && { refs: 1 }) });
    else if (counts) step.put(key, { ...known, refs: (known.refs ?? 0) + 1 });
  }
}

/** Takes back what {@link addReferences} did for a release, before it is written as retired. */
export function dropReferences(step: Step, release: ReleaseRecord): void {
  if (step.openProject().counts_references !== true) countReferences(step);
  for (const [digest] of digestsOf(release)) {
    const key = KEYS.repositoryDigest(release, digest);
    const row = step.get(key);
    if (row === undefined) throw new Error(`${release.version} references ${digest}, which is not served`);
    const refs = (row.refs ?? 0) - 1;
    if (refs > 0) step.put(key, { ...row, refs });
    else step.remove(key);
  }
}

function countReferences(step: Step): void {
  const project = step.updateProject({ counts_references: true });
  const counts = new Map<Digest, number>();
  for (const { value: release } of step.range(RANGES.releases(project))) {
    if (release.state === "retired") continue;
    for (const [digest] of digestsOf(release)) counts.set(digest, (counts.get(digest) ?? 0) + 1);
  }
  for (const [digest, refs] of counts) {
    const key = KEYS.repositoryDigest(project, digest);
    const row = step.get(key);
    if (row !== undefined) step.put(key, { ...row, refs });
  }
}

/** Each digest once, however often the release has it. */
function digestsOf(release: ReleaseRecord): Map<Digest, RepositoryDigestRow> {
  const { version, manifest, config, layers } = release;
  const rows = new Map<Digest, RepositoryDigestRow>();
  const add = (kind: RepositoryDigestRow["kind"], { digest, mediaType, size }: typeof manifest): void => {
    if (!rows.has(digest)) rows.set(digest, { kind, media_type: mediaType, size, version });
  };
  add("manifest", manifest);
  add("config", config);
  for (const layer of layers) add("layer", layer);
  return rows;
}
