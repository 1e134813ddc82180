import { eachRow } from "./each-row.ts";
import { ifIntact } from "./if-intact.ts";
import type { IndexReader } from "./index-db.ts";
import { ROW } from "./index-keys.ts";
import { BLOB_STATE, decodeBlobRow, decodeLayerRow, type MetaRow } from "./index-rows.ts";
import { IndexView } from "./index-view.ts";
import { LAYER_RECORD_BYTES, RECORD_OVERHEAD_BYTES } from "./pack-format.ts";
import { segmentName } from "./store-paths.ts";

const COUNTERS = [
  "packedBlobs",
  "packedBytes",
  "bigBlobs",
  "bigBytes",
  "layers",
  "damagedBlobs",
  "segments",
  "leases",
] as const satisfies (keyof MetaRow)[];
export type Counter = (typeof COUNTERS)[number];

/** What the accounts of the index say beyond what its rows do. Changes to both add up, so an error stays what it is until it is taken off. */
export interface AccountErrors {
  readonly segments: readonly { readonly id: number; readonly bytes: number; readonly records: number }[];
  readonly counters: readonly { readonly name: Counter; readonly by: number }[];
}

/**
 * Counts all rows and compares them with the accounts of segments and store; undefined when a row cannot be read, of which the
 * check of rows tells. Twice where something differs: what a commit changed between two pages is no error.
 */
export function accountErrors(index: IndexReader): AccountErrors | undefined {
  return ifIntact(() => {
    const first = compare(index);
    if (first.segments.length + first.counters.length === 0) return first;
    const again = compare(index);
    return {
      segments: first.segments.filter(({ id, bytes, records }) =>
        again.segments.some((error) => error.id === id && error.bytes === bytes && error.records === records),
      ),
      counters: first.counters.filter(({ name, by }) =>
        again.counters.some((error) => error.name === name && error.by === by),
      ),
    };
  });
}

/** As a check names them: segments, and counters of the whole store. */
export function accountNames({ segments, counters }: AccountErrors): string[] {
  return [...segments.map(({ id }) => segmentName(id)), ...counters.map(({ name }) => name)];
}

function compare(index: IndexReader): AccountErrors {
  index.refresh();
  const view = new IndexView(index);
  const counted = count(index);
  const meta = view.meta();
  const rows = view.segments();
  const counts = { ...counted.counters, segments: rows.size, leases: view.leases().length };
  const segments = [...rows].flatMap(([id, { liveBytes, liveRecords }]) => {
    const use = counted.segments.get(id) ?? { bytes: 0, records: 0 };
    const error = { id, bytes: liveBytes - use.bytes, records: liveRecords - use.records };
    return error.bytes === 0 && error.records === 0 ? [] : [error];
  });
  const counters = COUNTERS.flatMap((name) => {
    const by = (meta[name] ?? counts[name]) - counts[name];
    return by === 0 ? [] : [{ name, by }];
  });
  return { segments, counters };
}

function count(index: IndexReader): {
  segments: Map<number, { bytes: number; records: number }>;
  counters: Record<Exclude<Counter, "segments" | "leases">, number>;
} {
  const segments = new Map<number, { bytes: number; records: number }>();
  const counters = { packedBlobs: 0, packedBytes: 0, bigBlobs: 0, bigBytes: 0, layers: 0, damagedBlobs: 0 };
  const use = (id: number, bytes: number): void => {
    const known = segments.get(id);
    if (known === undefined) segments.set(id, { bytes, records: 1 });
    else {
      known.bytes += bytes;
      known.records += 1;
    }
  };
  const takeBlob = (key: Buffer, value: Buffer): void => {
    const row = decodeBlobRow(key, value);
    if (row.state === BLOB_STATE.damaged) counters.damagedBlobs += 1;
    counters[row.kind === "packed" ? "packedBlobs" : "bigBlobs"] += 1;
    counters[row.kind === "packed" ? "packedBytes" : "bigBytes"] += row.size;
    if (row.kind === "packed") use(row.segment, row.size + RECORD_OVERHEAD_BYTES);
  };
  const takeLayer = (key: Buffer, value: Buffer): void => {
    counters.layers += 1;
    use(decodeLayerRow(key, value).segment, LAYER_RECORD_BYTES);
  };
  eachRow(index, ROW.blob, takeBlob, { atOnce: true });
  eachRow(index, ROW.layer, takeLayer, { atOnce: true });
  return { segments, counters };
}
