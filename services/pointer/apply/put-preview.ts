import type { ArtifactRecord, PreviewRecord } from "../../../proto/records.ts";
import { KEYS, type PreviewDigestRow } from "../../shared/state-keys.ts";
import { countBytes } from "./kept-bytes.ts";
import type { Step } from "./step.ts";

/**
 * Writes a preview and, with it, what follows from it: when it expires and what its repository serves because of it. The only
 * place that writes previews, so that a digest is served exactly as long as a preview lives that references it (ruling 8).
 */
export function putPreview(step: Step, before: PreviewRecord | undefined, after: PreviewRecord): void {
  if (before?.expires_at !== undefined && before.state === "ready")
    step.remove(KEYS.previewExpiry(Date.parse(before.expires_at), before, before.name));
  const { org, project, name, expires_at } = after;
  if (expires_at !== undefined && after.state === "ready")
    step.put(KEYS.previewExpiry(Date.parse(expires_at), after, name), { org, project, name, expires_at });

  if (before?.state !== after.state || before.image_digest !== after.image_digest) {
    if (before?.state === "ready")
      for (const row of digestsOf(before)) step.remove(KEYS.previewDigest(before, row.digest, name));
    if (after.state === "ready")
      for (const { digest, ...row } of digestsOf(after))
        step.put<PreviewDigestRow>(KEYS.previewDigest(after, digest, name), row);
  }
  step.put(KEYS.preview(after, name), after);
  const sizeOf = (preview: PreviewRecord): number => (preview.state === "ready" ? preview.size_bytes : 0);
  countBytes(step, sizeOf(after) - (before === undefined ? 0 : sizeOf(before)));
}

function digestsOf(artifact: ArtifactRecord) {
  const { manifest, config, layers } = artifact;
  const row = (kind: PreviewDigestRow["kind"], { digest, mediaType, size }: typeof manifest) => ({
    digest,
    kind,
    media_type: mediaType,
    size,
  });
  return [row("manifest", manifest), row("config", config), ...layers.map((layer) => row("layer", layer))];
}
