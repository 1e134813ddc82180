import { crc32, deflateRawSync } from "node:zlib";

/**
 * A byte-level tar and gzip writer that can forge anything: each field of a header may be given as raw bytes, and nothing
 * is checked. What is not given is what an honest ustar writer would put there.
 */
export interface HeaderFields {
  readonly name?: string | Uint8Array;
  readonly mode?: string | Uint8Array;
  readonly uid?: string | Uint8Array;
  readonly gid?: string | Uint8Array;
  /** A number is written as octal; the body's length where absent. */
  readonly size?: number | string | Uint8Array;
  readonly mtime?: string | Uint8Array;
  readonly checksum?: string | Uint8Array;
  readonly type?: string;
  readonly link?: string | Uint8Array;
  /** "ustar", "gnu", or eight raw bytes. */
  readonly magic?: string | Uint8Array;
  readonly uname?: string | Uint8Array;
  readonly gname?: string | Uint8Array;
  readonly devmajor?: string | Uint8Array;
  readonly devminor?: string | Uint8Array;
  readonly prefix?: string | Uint8Array;
  /** The twelve bytes behind the prefix. */
  readonly tail?: string | Uint8Array;
  readonly padding?: Uint8Array;
}

const MAGIC: Readonly<Record<string, string>> = { ustar: "ustar\x0000", gnu: "ustar  \0" };

/** Where a field is, how long it is, and what an honest writer puts there. */
const FIELDS: readonly (readonly [Exclude<keyof HeaderFields, "checksum">, number, number, string])[] = [
  ["name", 0, 100, "file"],
  ["mode", 100, 8, "0000644\0"],
  ["uid", 108, 8, "0001750\0"],
  ["gid", 116, 8, "0001750\0"],
  ["size", 124, 12, "00000000000\0"],
  ["mtime", 136, 12, "14371573600\0"],
  ["type", 156, 1, "0"],
  ["link", 157, 100, ""],
  ["magic", 257, 8, "ustar\x0000"],
  ["uname", 265, 32, ""],
  ["gname", 297, 32, ""],
  ["devmajor", 329, 8, ""],
  ["devminor", 337, 8, ""],
  ["prefix", 345, 155, ""],
  ["tail", 500, 12, ""],
];
/** Copied and changed: some archives have 200,000 headers. */
const HONEST = Buffer.alloc(512);
for (const [, at, length, value] of FIELDS) HONEST.write(value, at, length, "latin1");

/** One header block with a right checksum unless another is given. */
export function header(fields: HeaderFields): Buffer {
  const block = Buffer.from(HONEST);
  for (const [name, at, length] of FIELDS) {
    const value = fields[name];
    if (value === undefined) continue;
    block.fill(0, at, at + length);
    Buffer.from(fieldValue(name, value)).copy(block, at, 0, length);
  }
  const checksum = fields.checksum ?? `${checksumOf(block).toString(8).padStart(6, "0")}\0 `;
  Buffer.from(checksum).copy(block, 148, 0, 8);
  return block;
}

function fieldValue(name: string, value: number | string | Uint8Array): string | Uint8Array {
  if (typeof value === "number") return `${value.toString(8).padStart(11, "0")}\0`;
  return name === "magic" && typeof value === "string" ? (MAGIC[value] ?? value) : value;
}

/** The unsigned sum of a header block, its checksum field taken as spaces. */
export function checksumOf(block: Uint8Array): number {
  let sum = 8 * 0x20;
  for (let i = 0; i < 512; i++) if (i < 148 || i >= 156) sum += block[i] ?? 0;
  return sum;
}

/** Writes the right checksum into the header block at `at`. */
export function repairChecksum(bytes: Buffer, at: number): void {
  const sum = checksumOf(bytes.subarray(at, at + 512));
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, at + 148, "latin1");
}

/** A header, its body and zero padding. */
export function entry(fields: HeaderFields, body: string | Uint8Array = ""): Buffer {
  const content = Buffer.from(body);
  const padding = fields.padding ?? Buffer.alloc(-content.length & 511);
  return Buffer.concat([header({ size: content.length, ...fields }), content, padding]);
}

export function file(
  name: string | Uint8Array,
  body: string | Uint8Array = "",
  fields: HeaderFields = {},
): Buffer {
  return entry({ name, ...fields }, body);
}

export function directory(name: string | Uint8Array, fields: HeaderFields = {}): Buffer {
  return entry({ name, type: "5", mode: "0000755\0", ...fields });
}

export function symlink(name: string, target: string | Uint8Array, fields: HeaderFields = {}): Buffer {
  return entry({ name, link: target, type: "2", mode: "0000777\0", ...fields });
}

export function hardlink(name: string, target: string | Uint8Array, fields: HeaderFields = {}): Buffer {
  return entry({ name, link: target, type: "1", ...fields });
}

/** One pax record with its right length. */
export function paxRecord(key: string, value: string | Uint8Array): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from("\n")]);
  let length = rest.length;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** A pax header (type x unless `fields` says g) with these records, or with a raw body. */
export function pax(
  body: Readonly<Record<string, string | Uint8Array>> | Uint8Array,
  fields: HeaderFields = {},
): Buffer {
  const bytes =
    body instanceof Uint8Array
      ? body
      : Buffer.concat(Object.entries(body).map(([key, value]) => paxRecord(key, value)));
  return entry({ name: "PaxHeaders.0/entry", type: "x", ...fields }, bytes);
}

/** A GNU long name (L) or long link (K). */
export function gnuLong(type: "L" | "K", text: string | Uint8Array, fields: HeaderFields = {}): Buffer {
  return entry(
    { name: "././@LongLink", type, magic: "gnu", ...fields },
    Buffer.concat([Buffer.from(text), Buffer.alloc(1)]),
  );
}

/** Base-256 as GNU writes it, `length` bytes long. */
export function base256(value: bigint, length: number): Buffer {
  const field = Buffer.alloc(length);
  for (let i = length - 1, rest = value; i >= 0; i--, rest >>= 8n) field[i] = Number(rest & 0xffn);
  field[0] = (field[0] ?? 0) | 0x80;
  return field;
}

export const END_MARKER = Buffer.alloc(1024);

/** A whole tar stream: the parts and the end marker. */
export function tar(...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([...parts, END_MARKER]);
}

export interface GzipForgery {
  readonly flags?: number;
  readonly method?: number;
  /** Bytes between the fixed header and the deflate data. */
  readonly fields?: Uint8Array;
  readonly crc?: number;
  readonly size?: number;
  readonly level?: number;
}

/** One gzip member. */
export function gzip(bytes: Uint8Array, forgery: GzipForgery = {}): Buffer {
  const head = Buffer.from([0x1f, 0x8b, forgery.method ?? 8, forgery.flags ?? 0, 0, 0, 0, 0, 0, 3]);
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(forgery.crc ?? crc32(bytes), 0);
  trailer.writeUInt32LE(forgery.size ?? bytes.length % 2 ** 32, 4);
  return Buffer.concat([
    head,
    forgery.fields ?? Buffer.alloc(0),
    deflateRawSync(bytes, { level: forgery.level ?? 6 }),
    trailer,
  ]);
}

/** A whole .tar.gz of these parts. */
export function tgz(...parts: readonly Uint8Array[]): Buffer {
  return gzip(tar(...parts));
}
