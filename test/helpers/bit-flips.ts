import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { digestFromBytes } from "../../proto/digest.ts";
import { LIMITS } from "../../proto/limits.ts";
import { ContentChecker, type Finding } from "../../store/check-content.ts";
import { checkPass } from "../../store/check-pass.ts";
import { createFsCells, StoreFs } from "../../store/fs.ts";
import { type FsckResult, fsck } from "../../store/fsck.ts";
import { type IndexDb, openIndexForWriting } from "../../store/index-db.ts";
import { ROW } from "../../store/index-keys.ts";
import { decodeBlobRow, decodeLayerRow } from "../../store/index-rows.ts";
import {
  LAYER_RECORD_BYTES,
  RECORD_HEADER_BYTES,
  RECORD_OVERHEAD_BYTES,
  SEGMENT_HEADER_BYTES,
} from "../../store/pack-format.ts";
import { StorePaths } from "../../store/store-paths.ts";
import { contentOf, openStoreFixture, putLayer } from "./store-fixture.ts";
import { tempFolder } from "./temp-folder.ts";

/** A record, and whether a row points to it. */
interface Span {
  readonly segment: number;
  readonly start: number;
  readonly end: number;
  readonly name: string;
}

const BIG = contentOf("big", LIMITS.packedBlobBytes + 2 * LIMITS.crcChunkBytes + 7);

/** A closed store with several segments, layers, a big file, duplicates (dead bytes), leases. */
async function makeStore(): Promise<string> {
  const dir = tempFolder();
  for (let run = 0; run < 3; run++) {
    const fixture = await openStoreFixture(dir);
    const twice = [0, 1].map(() => {
      const writer = fixture.task();
      writer.putBlob(contentOf(`twice ${run}`, 3_000));
      return writer.finish();
    });
    await fixture.put(...Array.from({ length: 30 }, (_, i) => contentOf(`${run}.${i}`, 1 + 211 * i)));
    await putLayer(fixture, { [`a${run}`]: contentOf(run, 700), b: contentOf("b", 5_000), big: BIG });
    for (const batch of twice) await fixture.store.commit(batch);
    await fixture.store.acquireLease(`lease-${run}`, 1e9);
    await fixture.close();
  }
  return dir;
}

/** A check that a campaign holds to its promise. */
export type Check = (store: { dir: string; index: IndexDb }) => FsckResult;

export function checkByFsck({ dir, index }: { dir: string; index: IndexDb }): FsckResult {
  const paths = new StorePaths(dir);
  return fsck({ paths, fs: new StoreFs(createFsCells()), index, firstOpenSegment: 1_000 });
}

/** The pass of a scrub that is broken off and goes on again all the time. */
export function checkByScrub({ dir, index }: { dir: string; index: IndexDb }): FsckResult {
  const found = { corrupt: [], missing: [], misframed: [], row: [], segment: [], account: [] } as Record<
    string,
    string[]
  >;
  let from: string | undefined;
  const parts = {
    paths: new StorePaths(dir),
    fs: new StoreFs(createFsCells()),
    index,
    found: ({ kind, name }: Finding) => void found[kind]?.push(name),
    read: () => undefined,
  };
  for (let isOver = false; !isOver; ) {
    const checker = new ContentChecker(parts);
    isOver = true;
    let steps = 0;
    for (const { cursor } of checkPass({ ...parts, checker, ...(from !== undefined && { from }) })) {
      from = cursor;
      steps += 1;
      if (steps < 40) continue;
      isOver = false;
      break;
    }
    checker.close();
  }
  const { corrupt = [], missing = [], misframed = [], row = [], segment = [], account = [] } = found;
  const rest = { orphaned: [], brokenRoots: [], wrongAccounts: account };
  const named = { corrupt, missing, misframed, brokenRows: row, brokenSegments: segment, ...rest };
  return { ...named, checked: 0, checkedBytes: 0 } as unknown as FsckResult;
}

/**
 * Flips single bits at random places of all that a store keeps, one at a time. Every one has to be found, and nothing else: only
 * what the bit belongs to may be named. Bytes of records that no row points to are no content, their payload and trailer may say
 * anything; their headers are part of the walk through the segment. Answers how many were flipped where.
 */
export async function flipBits(
  flips: number,
  random: () => number,
  check: Check,
): Promise<Record<string, number>> {
  const dir = await makeStore();
  const index = openIndexForWriting(join(dir, "index"));
  const counts: Record<string, number> = {};
  try {
    assert.deepEqual(namesIn(check({ dir, index })), [], "a clean store");
    const places = new Places(dir, index);
    for (let at = 0; at < flips; at++) {
      const place = places.pick(random);
      const bit = 1 << Math.floor(random() * 8);
      place.flip(bit);
      const found = namesIn(check({ dir, index }));
      const what = `${place.what}, bit ${bit}: found ${JSON.stringify(found)}`;
      if (place.isContent) assert.ok(found.length > 0, `not found: ${what}`);
      for (const name of found) assert.ok(place.names(name), `false alarm: ${what}`);
      place.flip(bit);
      counts[place.area] = (counts[place.area] ?? 0) + 1;
    }
    assert.deepEqual(namesIn(check({ dir, index })), [], "all bits are as they were");
  } finally {
    await index.close();
  }
  return counts;
}

function namesIn(result: FsckResult): string[] {
  const { checked: _, checkedBytes: __, repaired: ___, ...lists } = result;
  return Object.values(lists).flat();
}

interface Place {
  readonly area: string;
  readonly what: string;
  readonly isContent: boolean;
  /** Whether a finding of this name may come from here. */
  names(name: string): boolean;
  flip(bit: number): void;
}

const AREAS = ["packs", "headers", "trailers", "segment headers", "big files", "index rows"] as const;

class Places {
  readonly #dir: string;
  readonly #index: IndexDb;
  readonly #live: Span[] = [];
  /** Names of layers, by the listing that they are made from. */
  readonly #layersOf = new Map<string, string[]>();
  readonly #rows: { key: Buffer; value: Buffer }[];

  constructor(dir: string, index: IndexDb) {
    this.#dir = dir;
    this.#index = index;
    this.#rows = index.rows({ from: Buffer.of(0), to: Buffer.of(255), limit: Number.MAX_SAFE_INTEGER });
    for (const { key, value } of this.#rows) {
      if (key[0] === ROW.blob) {
        const row = decodeBlobRow(key, value);
        if (row.kind === "packed") this.#addSpan(key, { ...row, bytes: row.size + RECORD_OVERHEAD_BYTES });
      } else if (key[0] === ROW.layer) {
        const row = decodeLayerRow(key, value);
        this.#addSpan(key, { ...row, bytes: LAYER_RECORD_BYTES });
        const layer = digestFromBytes(key.subarray(1));
        this.#layersOf.set(row.subtree, [...(this.#layersOf.get(row.subtree) ?? []), layer]);
      }
    }
  }

  #addSpan(key: Buffer, { segment, offset, bytes }: { segment: number; offset: number; bytes: number }) {
    const name = digestFromBytes(key.subarray(1));
    this.#live.push({ segment, start: offset, end: offset + bytes, name });
  }

  pick(random: () => number): Place {
    const area = AREAS[Math.floor(random() * AREAS.length)] ?? "packs";
    if (area === "index rows") return this.#row(random);
    if (area === "big files") return this.#big(random);
    if (area === "packs") return this.#anywhere(random);
    const span = one(this.#live, random);
    if (area === "segment headers")
      return this.#byte(area, span.segment, Math.floor(random() * SEGMENT_HEADER_BYTES));
    if (area === "headers")
      return this.#byte(area, span.segment, span.start + Math.floor(random() * RECORD_HEADER_BYTES));
    const trailerBytes = RECORD_OVERHEAD_BYTES - RECORD_HEADER_BYTES;
    return this.#byte(area, span.segment, span.end - 1 - Math.floor(random() * trailerBytes));
  }

  #anywhere(random: () => number): Place {
    const { segment } = one(this.#live, random);
    const { size } = fs.statSync(new StorePaths(this.#dir).segment(segment));
    return this.#byte("packs", segment, Math.floor(random() * size));
  }

  /** A byte of a segment: of a record that a row points to, of the header, or of neither. */
  #byte(area: string, segment: number, at: number): Place {
    const file = new StorePaths(this.#dir).segment(segment);
    const owner = this.#live.find((span) => span.segment === segment && span.start <= at && at < span.end);
    const named = owner === undefined ? [] : [owner.name, ...(this.#layersOf.get(owner.name) ?? [])];
    const segmentName = `${segment.toString(16).padStart(8, "0")}.pack@`;
    return {
      area,
      what: `${file} at ${at} (${owner?.name ?? "no content"})`,
      isContent: owner !== undefined || at < SEGMENT_HEADER_BYTES,
      names: (name) => named.includes(name) || name.startsWith(segmentName),
      flip: (bit) => flipInFile(file, at, bit),
    };
  }

  #big(random: () => number): Place {
    const bigs = this.#rows.filter(({ key }) => key[0] === ROW.crcs);
    const digest = digestFromBytes(one(bigs, random).key.subarray(1));
    const file = new StorePaths(this.#dir).bigFile(digest);
    const at = Math.floor(random() * fs.statSync(file).size);
    return {
      area: "big files",
      what: `${file} at ${at}`,
      isContent: true,
      names: (name) => name === digest,
      flip: (bit) => flipInFile(file, at, bit),
    };
  }

  /** Key or value; lmdb would find neither. */
  #row(random: () => number): Place {
    const { key, value } = one(this.#rows, random);
    const at = Math.floor(random() * (key.length + value.length));
    const index = this.#index;
    const other = { key: Buffer.from(key), value: Buffer.from(value) };
    return {
      area: "index rows",
      what: `row ${key.toString("hex")} at ${at}`,
      isContent: true,
      // A row that cannot be read takes from view what it stands for, which others refer to.
      names: () => true,
      flip: (bit) => {
        index.transaction(() => {
          index.remove(other.key);
          if (at < key.length) other.key[at] = (other.key[at] ?? 0) ^ bit;
          else other.value[at - key.length] = (other.value[at - key.length] ?? 0) ^ bit;
          index.put(other.key, other.value);
        });
        index.refresh();
      },
    };
  }
}

function one<T>(list: readonly T[], random: () => number): T {
  const found = list[Math.floor(random() * list.length)];
  if (found === undefined) throw new RangeError("nothing to choose from");
  return found;
}

function flipInFile(path: string, at: number, bit: number): void {
  const fd = fs.openSync(path, "r+");
  try {
    const byte = Buffer.alloc(1);
    fs.readSync(fd, byte, 0, 1, at);
    fs.writeSync(fd, Buffer.of((byte[0] ?? 0) ^ bit), 0, 1, at);
  } finally {
    fs.closeSync(fd);
  }
}
