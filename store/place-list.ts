import { ByteList } from "./byte-list.ts";
import { readU32, readU48 } from "./little-endian.ts";

/** Part of a blob row: segment (u32) | offset (u48) | size (u48); segment 0 for what has a file of its own. */
const PLACE_AT = 2;
const PLACE_BYTES = 16;

/** Where a packed blob lies. */
export interface Place {
  readonly segment: number;
  readonly offset: number;
  readonly size: number;
}

/** Where blobs lie, without an object for each: whoever asked whether content is there often reads it next. */
export class PlaceList {
  readonly #bytes = new ByteList(1024 * PLACE_BYTES);

  /** @returns its number, from 0 up */
  add(row: Uint8Array): number {
    const { bytes, at } = this.#bytes.extend(PLACE_BYTES);
    for (let i = 0; i < PLACE_BYTES; i++) bytes[at + i] = row[PLACE_AT + i] ?? 0;
    return at / PLACE_BYTES;
  }

  /** undefined for what has a file of its own. */
  at(number: number): Place | undefined {
    const place = this.#bytes.view(number * PLACE_BYTES, (number + 1) * PLACE_BYTES);
    const segment = readU32(place, 0);
    return segment === 0 ? undefined : { segment, offset: readU48(place, 4), size: readU48(place, 10) };
  }

  clear(): void {
    this.#bytes.clear();
  }
}
