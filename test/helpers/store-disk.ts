import fs from "node:fs";
import { join } from "node:path";

/** Flips one bit of a file in place. */
export function flipBit(path: string, offset: number, bit = 1): void {
  const fd = fs.openSync(path, "r+");
  try {
    const byte = Buffer.alloc(1);
    fs.readSync(fd, byte, 0, 1, offset);
    byte[0] = (byte[0] ?? 0) ^ bit;
    fs.writeSync(fd, byte, 0, 1, offset);
  } finally {
    fs.closeSync(fd);
  }
}

/** Where `needle` lies in a segment of the store. */
export function findInPacks(dir: string, needle: Uint8Array): { path: string; offset: number } {
  const place = find(dir, needle);
  if (place === undefined) throw new Error("the content lies in no segment");
  return place;
}

function find(dir: string, needle: Uint8Array): { path: string; offset: number } | undefined {
  for (const name of fs.readdirSync(join(dir, "packs"))) {
    const path = join(dir, "packs", name);
    const offset = fs.readFileSync(path).indexOf(needle);
    if (offset >= 0) return { path, offset };
  }
  return undefined;
}

/** Flips a bit `at` bytes into every copy of `needle`: a task that ran again leaves one that nothing points to. */
export function flipCopies(dir: string, needle: Uint8Array, at: number): void {
  for (let place = find(dir, needle); place !== undefined; place = find(dir, needle))
    flipBit(place.path, place.offset + at);
}

/** All files below the store's content folders, with their sizes. */
export function storeFiles(dir: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const folder of ["packs", "big", "staging", "inbox", "quarantine"]) {
    for (const name of fs.readdirSync(join(dir, folder), { recursive: true, encoding: "utf8" })) {
      const stat = fs.statSync(join(dir, folder, name));
      if (stat.isFile()) found.set(join(folder, name), stat.size);
    }
  }
  return found;
}
