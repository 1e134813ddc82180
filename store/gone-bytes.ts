import type { Digest } from "../proto/digest.ts";
import type { BlobRow } from "./index-rows.ts";
import type { IndexView } from "./index-view.ts";
import { LAYER_RECORD_BYTES, RECORD_OVERHEAD_BYTES } from "./pack-format.ts";

/** What dies when rows go: bytes of records by segment; under 0, which is no segment, bytes of big files. */
export type GoneBytes = Map<number, number>;

/** Counts a blob, and the layers that go with it when it is their listing. */
export function countGone(into: GoneBytes, view: IndexView, about: { digest: Digest; row: BlobRow }): void {
  const { digest, row } = about;
  if (row.kind === "big") add(into, 0, row.size);
  else add(into, row.segment, row.size + RECORD_OVERHEAD_BYTES);
  for (const { segment } of view.layersOf(digest)) add(into, segment, LAYER_RECORD_BYTES);
}

export function addGone(into: GoneBytes, more: ReadonlyMap<number, number>): void {
  for (const [segment, bytes] of more) add(into, segment, bytes);
}

function add(into: GoneBytes, segment: number, bytes: number): void {
  into.set(segment, (into.get(segment) ?? 0) + bytes);
}
