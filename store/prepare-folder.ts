import { randomBytes } from "node:crypto";
import fs from "node:fs";
import { dirname } from "node:path";
import { GranaryError } from "../proto/errors.ts";
import { ifPresent, type StoreFs, syncFolder } from "./fs.ts";
import type { MetaRow } from "./index-rows.ts";
import type { StorePaths } from "./store-paths.ts";

export const STORE_FORMAT = 1;

/**
 * Creates what is missing of the store's folders, checks the format file, and answers the store's id, by which an index is
 * recognized as belonging to these packs. All folders are made and synced here: a name in a folder that is itself not durable
 * would be lost with it.
 * @throws GranaryError STORE_FORMAT
 */
export function prepareFolder(paths: StorePaths, storeFs: StoreFs): string {
  return storeFs.run("store.open", "format", () => {
    const created = paths.folders.filter(
      (folder) => fs.mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined,
    );
    if (created.length > 0)
      for (const folder of [paths.big, paths.root, dirname(paths.root)]) syncFolder(folder);
    const text = ifPresent(() => fs.readFileSync(paths.format, "utf8"));
    return text === undefined ? writeFormat(paths) : parseFormat(text);
  });
}

/** The meta row of an empty index. */
export function freshMeta(storeId: string): MetaRow {
  return {
    format: STORE_FORMAT,
    storeId,
    epoch: 1,
    segmentWatermark: 0,
    packedBlobs: 0,
    packedBytes: 0,
    bigBlobs: 0,
    bigBytes: 0,
    layers: 0,
    damagedBlobs: 0,
    segments: 0,
    leases: 0,
  };
}

function writeFormat(paths: StorePaths): string {
  const id = randomBytes(16).toString("hex");
  const draft = `${paths.format}.new`;
  fs.writeFileSync(draft, `${JSON.stringify({ format: STORE_FORMAT, id })}\n`, { flush: true });
  fs.renameSync(draft, paths.format);
  syncFolder(paths.root);
  return id;
}

function parseFormat(text: string): string {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch (error) {
    throw new GranaryError("STORE_FORMAT", "the store's format file is not JSON", {}, { cause: error });
  }
  const { format, id } = (found ?? {}) as { format?: unknown; id?: unknown };
  if (format !== STORE_FORMAT || typeof id !== "string") {
    throw new GranaryError(
      "STORE_FORMAT",
      `the store has format ${String(format)}, this version reads ${STORE_FORMAT}`,
      {
        found: String(format),
        expected: STORE_FORMAT,
      },
    );
  }
  return id;
}
