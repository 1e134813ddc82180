import fs from "node:fs";
import { flipBit } from "./store-disk.ts";

const PAGE_BYTES = 4096;

/** Flips a bit of an LMDB file, in a page that is not all zeros: those say nothing. @returns where, in words */
export function flipInPages(file: string, random: () => number): string {
  const bytes = fs.readFileSync(file);
  for (;;) {
    const at = Math.floor(random() * bytes.length);
    const page = Math.floor(at / PAGE_BYTES);
    const inPage = bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
    if (inPage.every((byte) => byte === 0)) continue;
    flipBit(file, at, 1 << Math.floor(random() * 8));
    return `byte ${at} (page ${page}, ${at % PAGE_BYTES})`;
  }
}
