import { createHash } from "node:crypto";
import { constants, deflateRawSync } from "node:zlib";
import type { HostileArchive } from "./hostile-archive.ts";
import {
  directory,
  END_MARKER,
  entry,
  file,
  gzip,
  type HeaderFields,
  hardlink,
  header,
  tar,
  tgz,
} from "./tar-builder.ts";

const MIB = 1024 * 1024;

/** Bytes that do not compress, the same ones every time. */
export function noise(length: number): Buffer {
  const blocks: Buffer[] = [];
  for (let i = 0; i * 64 < length; i++) blocks.push(createHash("sha512").update(String(i)).digest());
  return Buffer.concat(blocks).subarray(0, length);
}

/**
 * One file of `mebibytes` MiB of zeros behind other entries, whose deflate data is one MiB's repeated: 1 KiB per MiB, made in
 * milliseconds.
 */
export function zeroBomb(mebibytes: number, before: Buffer = Buffer.alloc(0)): Buffer {
  const part = (bytes: Buffer) => deflateRawSync(bytes, { level: 9, finishFlush: constants.Z_SYNC_FLUSH });
  const zeros = part(Buffer.alloc(MIB));
  const head = part(Buffer.concat([before, header({ name: "zeros", size: mebibytes * MIB })]));
  const data = [head, ...Array.from({ length: mebibytes }, () => zeros), deflateRawSync(Buffer.alloc(1024))];
  // The trailer is never reached.
  return Buffer.concat([gzip(Buffer.alloc(0)).subarray(0, 10), ...data, Buffer.alloc(8)]);
}

/** Printable, and longer than what deflate looks back on: a slice of it costs no hash and compresses as badly. */
const OWNERS = noise(48 * 1024).toString("base64");
const OWNER_LENGTH = 31;

/** An archive of so many headers, whose owners are noise so that the ratio stays that of an honest archive. */
export function manyEntries(count: number, fields: (i: number) => HeaderFields): Buffer {
  const blocks: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const at = (i * OWNER_LENGTH) % (OWNERS.length - OWNER_LENGTH);
    blocks.push(header({ uname: OWNERS.slice(at, at + OWNER_LENGTH), ...fields(i) }));
  }
  return gzip(Buffer.concat([...blocks, END_MARKER]), { level: 1 });
}

/** Bombs, claims and counts. */
export const HOSTILE_SIZES: readonly HostileArchive[] = [
  {
    name: "a bomb of 1 GiB of zeros",
    code: "ARCHIVE_RATIO",
    detail: { limit: 200 },
    bytes: () => zeroBomb(1024),
  },
  {
    name: "a bomb behind a noisy beginning",
    isSlow: true,
    code: "ARCHIVE_RATIO",
    detail: { limit: 200 },
    bytes: () => zeroBomb(300, file("noise", noise(MIB))),
  },
  {
    name: "a bomb of zeros behind the end marker",
    isSlow: true,
    code: "ARCHIVE_RATIO",
    detail: { limit: 200 },
    bytes: () => gzip(Buffer.concat([tar(file("a", "x")), Buffer.alloc(64 * MIB)])),
  },
  {
    name: "a file that claims 1 GiB and a byte",
    isSlow: true,
    code: "ARCHIVE_FILE_TOO_LARGE",
    detail: { path: "claim", actual: 1024 * MIB + 1, limit: 1024 * MIB },
    bytes: () => tgz(entry({ name: "claim", size: 1024 * MIB + 1 })),
  },
  {
    name: "hardlinks that make 2 GiB of one file of 16 MiB",
    isSlow: true,
    code: "ARCHIVE_TOO_LARGE",
    detail: { path: "link127", actual: 129 * 16 * MIB, limit: 2048 * MIB },
    bytes: () => {
      const content = Buffer.concat([noise(MIB), Buffer.alloc(15 * MIB)]);
      return tgz(file("big", content), ...Array.from({ length: 130 }, (_, i) => hardlink(`link${i}`, "big")));
    },
  },
  {
    name: "200,001 entries",
    isSlow: true,
    code: "ARCHIVE_TOO_MANY_ENTRIES",
    detail: { path: "f200000", actual: 200_001, limit: 200_000 },
    bytes: () => manyEntries(200_001, (i) => ({ name: `f${i}` })),
  },
  {
    name: "files that imply more than 200,000 directories",
    isSlow: true,
    code: "ARCHIVE_TOO_MANY_ENTRIES",
    detail: { actual: 200_001, limit: 200_000 },
    bytes: () =>
      manyEntries(4_000, (i) => ({ prefix: `${i}/${"d/".repeat(29)}d`, name: `${"d/".repeat(30)}f` })),
  },
  {
    name: "an archive that claims more than the expanded limit",
    code: "ARCHIVE_TOO_LARGE",
    detail: { path: "b", actual: 8500, limit: 8192 },
    limits: { expandedBytes: 8192 },
    bytes: () => tgz(file("a", "x".repeat(3500)), entry({ name: "b", size: 5000 })),
  },
  {
    name: "zeros behind the end marker beyond the expanded limit",
    code: "ARCHIVE_TOO_LARGE",
    detail: { limit: 8192 },
    limits: { expandedBytes: 8192 },
    bytes: () => gzip(Buffer.concat([tar(file("a", "x")), Buffer.alloc(200_000)])),
  },
  {
    name: "a compressed stream beyond the upload limit",
    code: "ARCHIVE_UPLOAD_TOO_LARGE",
    detail: { limit: 100_000 },
    limits: { uploadBytes: 100_000 },
    bytes: () => tgz(file("a", noise(200_000))),
  },
  {
    name: "a file beyond a file limit that the operator set",
    code: "ARCHIVE_FILE_TOO_LARGE",
    detail: { path: "a", actual: 5002, limit: 5001 },
    limits: { fileBytes: 5001 },
    bytes: () => tgz(file("a", noise(5002))),
  },
  {
    name: "directories beyond the entry limit",
    code: "ARCHIVE_TOO_MANY_ENTRIES",
    detail: { path: "d4", actual: 5, limit: 4 },
    limits: { entries: 4 },
    bytes: () => tgz(...Array.from({ length: 5 }, (_, i) => directory(`d${i}`)), file("a", "x")),
  },
  {
    name: "a chain of 200,000 symlinks",
    isSlow: true,
    code: "ARCHIVE_LINK_LOOP",
    bytes: () =>
      manyEntries(200_000, (i) =>
        i === 0 ? { name: "l200000" } : { name: `l${i}`, type: "2", link: `l${i + 1}` },
      ),
  },
];
