import assert from "node:assert/strict";
import type { Name } from "../../proto/names.ts";
import { listPreviews } from "../../services/shared/state-queries.ts";
import type { MemoryState } from "../helpers/memory-state.ts";
import type { ModelProject } from "./model-project.ts";

/** Compares a project's previews, and what is served because of them, with the model. */
export function comparePreviews(
  state: MemoryState,
  at: { org: Name; project: Name },
  expected: ModelProject,
): void {
  const records = listPreviews(state, at, { all: true }).items.map((record) => [
    record.channel,
    record.state,
    record.publish_id,
    record.image_digest,
    record.ttl_ms,
    record.state !== "ready" ? undefined : record.pinned ? "never" : Date.parse(record.expires_at ?? ""),
  ]);
  const previews = [...expected.previews].map(([channel, { state: now, publish, image, ttlMs, endsMs }]) => [
    channel,
    now,
    publish.id,
    image,
    ttlMs,
    now !== "ready" ? undefined : Number.isFinite(endsMs) ? endsMs : "never",
  ]);
  assert.deepEqual(
    records,
    previews.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
  );
  // Served because of previews: what living ones reference, and nothing else.
  const living = [...expected.previews.values()].filter(({ state: now }) => now === "ready");
  const prefix = `preview-digest/${at.org}/${at.project}/`;
  const rows = [...state.rows()].filter(([key]) => key.startsWith(prefix));
  assert.equal(rows.length, living.length * 3);
  for (const { image } of living) {
    const hex = image.slice("sha256:".length);
    assert.ok(rows.some(([key]) => key.startsWith(`${prefix}${hex}/`)));
  }
}
