import { crc32 } from "node:zlib";
import { ContentArena } from "./content-arena.ts";
import { readFullySync, type StoreFs } from "./fs.ts";
import { readU32 } from "./little-endian.ts";
import { RECORD_HEADER_BYTES, RECORD_TRAILER_BYTES } from "./pack-format.ts";
import type { Place } from "./place-list.ts";
import { segmentName } from "./store-paths.ts";

/** What one gathering holds. */
export const GATHER_BYTES = 16 * 1024 * 1024;
/** Larger records cost little more than their hash to read on their own. */
export const GATHERED_RECORD_BYTES = 256 * 1024;
/** One read. */
const RUN_BYTES = 1024 * 1024;
/** Foreign bytes between two records that are read along: about what a call costs. */
const GAP_BYTES = 16 * 1024;

/** A record's place, and its digest as the 32 bytes at `key[1..33]`. */
export interface PlacedRecord extends Place {
  readonly key: Uint8Array;
}

/**
 * Payloads of many records of the packs, read in the order in which they lie: what a layer needs lies scattered over what was
 * published together (8.7 MB of layers took 923 reads of 72.8 MB through a window in the layers' order). A payload is checked against its
 * record's trailer: the digest has to be the wanted one, the crc32 that of the bytes (0.2 ns a byte, sha256 takes 0.7).
 * Committed records do not change while a task runs, so what was gathered is good for one task.
 */
export class PackGather {
  readonly #fs: StoreFs;
  readonly #held = new ContentArena({ bytes: GATHER_BYTES });
  /** Made for the first task that gathers. */
  #run: Buffer | undefined;

  constructor(fs: StoreFs) {
    this.#fs = fs;
  }

  clear(): void {
    this.#held.clear();
  }

  /**
   * Takes the place of what was gathered before. A record that is not what was expected is left out: then it has to be read and verified
   * by its sha256, which alone decides.
   * @param records of at most {@link GATHERED_RECORD_BYTES}, {@link GATHER_BYTES} together
   * @param open the descriptor of a segment
   * @throws GranaryError STORE_IO
   */
  gather(records: PlacedRecord[], open: (record: PlacedRecord) => number): void {
    this.clear();
    records.sort((a, b) => a.segment - b.segment || a.offset - b.offset);
    for (let first = 0; first < records.length; ) {
      let last = first;
      while (continues(records, first, last + 1)) last += 1;
      const run = records.slice(first, last + 1);
      this.#take(run, open);
      first = last + 1;
    }
  }

  /** The content of the digest at `key[1..33]`, valid until the next gathering. */
  find(key: Uint8Array, size: number): Buffer | undefined {
    return this.#held.find(key, size);
  }

  #take(run: readonly PlacedRecord[], open: (record: PlacedRecord) => number): void {
    const [first] = run;
    const last = run.at(-1);
    if (first === undefined || last === undefined) return;
    this.#run ??= Buffer.allocUnsafeSlow(RUN_BYTES);
    const bytes = this.#run.subarray(0, endOf(last) - first.offset);
    const fd = open(first);
    const got = this.#fs.run("segment.read", segmentName(first.segment), () =>
      readFullySync(fd, bytes, first.offset),
    );
    for (const record of run) {
      const at = record.offset - first.offset;
      if (at + endOf(record) - record.offset <= got) this.#keep(bytes, at + RECORD_HEADER_BYTES, record);
    }
  }

  #keep(bytes: Buffer, at: number, { size, key }: PlacedRecord): void {
    const trailer = at + size;
    for (let i = 0; i < 32; i++) if (bytes[trailer + i] !== key[1 + i]) return;
    if (readU32(bytes, trailer + 32) !== crc32(bytes.subarray(at, trailer))) return;
    const room = this.#held.room(size);
    if (room === undefined) return;
    bytes.copy(room, 0, at, trailer);
    this.#held.keep(key, size, { isNew: true });
  }
}

function continues(records: readonly PlacedRecord[], first: number, next: number): boolean {
  const begin = records[first];
  const before = records[next - 1];
  const record = records[next];
  if (begin === undefined || before === undefined || record === undefined) return false;
  const gap = record.offset - endOf(before);
  return record.segment === begin.segment && gap <= GAP_BYTES && endOf(record) - begin.offset <= RUN_BYTES;
}

function endOf({ offset, size }: PlacedRecord): number {
  return offset + RECORD_HEADER_BYTES + size + RECORD_TRAILER_BYTES;
}
