import fc from "fast-check";
import {
  BODIES,
  bytes,
  CHECKSUMS,
  END,
  LINKS,
  MAGICS,
  MTIMES,
  NAMES,
  NUMBERS,
  PAX_VALUES,
  PREFIXES,
  SIZES,
  TAILS,
} from "./archive-oddities.ts";
import {
  checksumOf,
  END_MARKER,
  entry,
  file,
  gnuLong,
  gzip,
  type HeaderFields,
  pax,
  paxRecord,
  repairChecksum,
  tar,
} from "./tar-builder.ts";

/**
 * Archives between honest and forged: a few entries, most of their fields honest, each now and then from a pool of spellings
 * that some reader takes in its own way. Checksums are right more often than not, so the forgeries reach the rules behind them.
 */
export function oddArchive(): fc.Arbitrary<Buffer> {
  return fc
    .record({
      parts: fc.array(part(), { minLength: 1, maxLength: 5 }),
      end: seldom(END, END_MARKER, 12),
      envelope: envelope(),
    })
    .map(({ parts, end, envelope: wrap }) => {
      const first = file("0-first", "first");
      const last = file("zz-last", "last");
      return wrap(Buffer.concat([first, ...parts, last, end]));
    });
}

/** An honest archive with a few bits flipped, bytes cut out, or header fields swapped; half of the time with checksums put right. */
export function mutatedArchive(honest: Buffer): fc.Arbitrary<Buffer> {
  const at = fc.nat({ max: honest.length - 1 });
  const mutation = fc.oneof(
    fc.record({ kind: fc.constant("flip" as const), at, bit: fc.nat({ max: 7 }) }),
    fc.record({
      kind: fc.constant("set" as const),
      at,
      value: fc.constantFrom(0, 0x20, 0x2f, 0x30, 0x37, 0x38, 0x80, 0xff),
    }),
    fc.record({ kind: fc.constant("cut" as const), at, length: fc.constantFrom(1, 511, 512, 513, 1024) }),
    fc.record({
      kind: fc.constant("splice" as const),
      at,
      from: at,
      length: fc.constantFrom(1, 8, 12, 100, 512),
    }),
  );
  return fc
    .record({ mutations: fc.array(mutation, { minLength: 1, maxLength: 4 }), repair: fc.boolean() })
    .map(({ mutations, repair }) => {
      let bytes = Buffer.from(honest);
      for (const m of mutations) {
        if (m.at >= bytes.length || ("from" in m && m.from >= bytes.length)) continue;
        if (m.kind === "flip") bytes.writeUInt8(bytes.readUInt8(m.at) ^ (1 << m.bit), m.at);
        else if (m.kind === "set") bytes.writeUInt8(m.value, m.at);
        else if (m.kind === "cut")
          bytes = Buffer.concat([bytes.subarray(0, m.at), bytes.subarray(m.at + m.length)]);
        else bytes.copy(bytes, m.at, m.from, Math.min(bytes.length, m.from + m.length));
      }
      if (repair) repairHeaders(bytes);
      return gzip(bytes);
    });
}

function repairHeaders(bytes: Buffer): void {
  for (let at = 0; at + 512 <= bytes.length; at += 512) {
    if (bytes.toString("latin1", at + 257, at + 262) === "ustar") repairChecksum(bytes, at);
  }
}

function seldom<T>(odd: readonly T[], honest: T, weight = 40): fc.Arbitrary<T> {
  return fc.oneof(
    { weight, arbitrary: fc.constant(honest) },
    { weight: 1, arbitrary: fc.constantFrom(...odd) },
  );
}

/** One entry, with its metadata headers now and then. */
function part(): fc.Arbitrary<Buffer> {
  const meta = fc.oneof(
    { weight: 6, arbitrary: fc.constant<Buffer[]>([]) },
    { weight: 3, arbitrary: metaHeader().map((one) => [one]) },
    { weight: 1, arbitrary: fc.array(metaHeader(), { maxLength: 3 }) },
  );
  return fc.tuple(meta, oddEntry()).map(([before, one]) => Buffer.concat([...before, one]));
}

function oddEntry(): fc.Arbitrary<Buffer> {
  const type = fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom("0", "0", "0", "\0", "5", "1", "2") },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        "3",
        "4",
        "6",
        "7",
        "S",
        "D",
        "V",
        "M",
        "N",
        "X",
        "A",
        "Z",
        " ",
        "\xff",
        "x",
        "g",
        "L",
        "K",
      ),
    },
  );
  return fc
    .record({
      type,
      name: oddName(),
      link: seldom(LINKS, "0-first", 3),
      body: fc.constantFrom(...BODIES),
      fields: oddFields(),
      linked: seldom([true], false),
      filled: seldom([true], false),
    })
    .map(({ type: t, name, link, body, fields, linked, filled }) => {
      const isLink = t === "1" || t === "2";
      const bare = (isLink || t === "5") && !filled;
      return forge(
        { name, type: t, ...(isLink || linked ? { link } : {}) },
        bare ? Buffer.alloc(0) : body,
        fields,
      );
    });
}

/** Mostly a name of its own, so that an archive is not refused for a twin before anything else is looked at. */
function oddName(): fc.Arbitrary<string | Buffer> {
  const plain = fc.nat({ max: 999 }).map((n) => `${n % 3 === 0 ? "sub/" : ""}n${n}`);
  return fc.oneof({ weight: 5, arbitrary: plain }, { weight: 1, arbitrary: fc.constantFrom(...NAMES) });
}

interface OddFields {
  readonly values: HeaderFields;
  readonly size: ((n: number) => number | string | Buffer) | undefined;
  readonly checksum: ((sum: number) => string) | undefined;
}

function oddFields(): fc.Arbitrary<OddFields> {
  const odd = <T>(pool: readonly T[], weight = 60): fc.Arbitrary<T | undefined> =>
    seldom<T | undefined>(pool, undefined, weight);
  return fc
    .record({
      mode: odd(NUMBERS),
      uid: odd(NUMBERS),
      gid: odd(NUMBERS),
      mtime: odd(MTIMES),
      devmajor: odd(NUMBERS, 40),
      devminor: odd(NUMBERS, 40),
      magic: odd(MAGICS, 30),
      prefix: odd(PREFIXES, 15),
      tail: odd(TAILS, 40),
      uname: odd(["root", "a\0\nb", Buffer.alloc(32, 0xff)]),
      padding: odd([Buffer.alloc(0), Buffer.alloc(512), Buffer.alloc(507, 1)], 60),
      size: odd(SIZES, 20),
      checksum: odd(CHECKSUMS, 40),
    })
    .map(({ size, checksum, ...values }) => ({ values: present(values), size, checksum }));
}

function present(values: Readonly<Record<string, string | Buffer | undefined>>): HeaderFields {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function forge(base: HeaderFields, body: Buffer, { values, size, checksum }: OddFields): Buffer {
  const fields: HeaderFields = {
    ...base,
    ...values,
    ...(size === undefined ? {} : { size: size(body.length) }),
  };
  const made = entry(fields, body);
  if (checksum !== undefined)
    Buffer.from(checksum(checksumOf(made)).padEnd(8, "\0"), "latin1").copy(made, 148, 0, 8);
  return made;
}

function metaHeader(): fc.Arbitrary<Buffer> {
  const record = fc
    .oneof(
      { weight: 3, arbitrary: fc.constantFrom("path", "linkpath", "size", "mtime") },
      { weight: 1, arbitrary: fc.constantFrom(...Object.keys(PAX_VALUES)) },
    )
    .chain((key) =>
      fc.tuple(fc.constant(key), fc.constantFrom(...(PAX_VALUES[key] ?? ["x"])), recordForgery()),
    );
  const paxHeader = fc
    .tuple(fc.array(record, { minLength: 1, maxLength: 3 }), oddFields(), seldom(["g"], "x", 10))
    .map(([records, fields, type]) => {
      const body = Buffer.concat(records.map(([key, value, twist]) => twist(paxRecord(key, value))));
      return forge({ name: "PaxHeaders.0/x", type }, body, fields);
    });
  const long = fc
    .tuple(
      fc.constantFrom<"L" | "K">("L", "L", "K"),
      fc.constantFrom(...NAMES, ...LINKS, "n".repeat(120), `d/${"n".repeat(200)}`),
      seldom([Buffer.alloc(0), Buffer.alloc(2), bytes(0, 0x61), bytes(0, 0x0a, 0x61)], Buffer.alloc(1), 12),
      seldom(["ustar"], "gnu", 5),
      oddFields(),
    )
    .map(([type, name, end, magic, fields]) =>
      forge({ name: "././@LongLink", type, magic }, Buffer.concat([Buffer.from(name), end]), fields),
    );
  const comment = fc.constant(
    pax({ comment: "0123456789012345678901234567890123456789" }, { type: "g", name: "pax_global_header" }),
  );
  const empty = fc.constantFrom(
    pax(Buffer.alloc(0)),
    gnuLong("L", ""),
    entry({ type: "L", name: "././@LongLink" }),
  );
  return fc.oneof(
    { weight: 8, arbitrary: paxHeader },
    { weight: 6, arbitrary: long },
    { weight: 1, arbitrary: comment },
    { weight: 1, arbitrary: empty },
  );
}

function recordForgery(): fc.Arbitrary<(record: Buffer) => Buffer> {
  const relength = (change: (n: number) => string) => (record: Buffer) => {
    const space = record.indexOf(0x20);
    return Buffer.concat([
      Buffer.from(change(Number(record.toString("latin1", 0, space)))),
      record.subarray(space),
    ]);
  };
  const odd: readonly ((record: Buffer) => Buffer)[] = [
    relength((n) => String(n + 1)),
    relength((n) => String(n - 1)),
    relength((n) => `0${n + 1}`),
    relength((n) => ` ${n + 1}`),
    relength((n) => `+${n + 1}`),
    relength(() => "0"),
    relength(() => "99999"),
    relength(() => ""),
    (record) => record.subarray(0, record.length - 1),
    (record) => Buffer.concat([record, bytes(0)]),
    (record) => Buffer.concat([record, Buffer.from("\n")]),
    (record) => Buffer.concat([record, record]),
    (record) => Buffer.from(record.toString("latin1").replace("=", " "), "latin1"),
  ];
  return seldom(odd, (record: Buffer) => record, 20);
}

function envelope(): fc.Arbitrary<(stream: Buffer) => Buffer> {
  const half = (stream: Buffer) => Math.floor(stream.length / 2);
  const odd: readonly ((stream: Buffer) => Buffer)[] = [
    (s) => Buffer.concat([gzip(s.subarray(0, half(s))), gzip(s.subarray(half(s)))]),
    (s) => Buffer.concat([gzip(s.subarray(0, 700)), gzip(Buffer.alloc(0)), gzip(s.subarray(700))]),
    (s) => Buffer.concat([gzip(s), Buffer.alloc(20)]),
    (s) => Buffer.concat([gzip(s), Buffer.from("x")]),
    (s) => Buffer.concat([gzip(s), Buffer.alloc(3), gzip(file("after", "x"))]),
    (s) => Buffer.concat([gzip(s), gzip(tar(file("after", "x")))]),
    (s) => gzip(s, { flags: 8, fields: Buffer.from("name.tar\0") }),
    (s) => gzip(s, { flags: 4, fields: bytes(2, 0, 1, 2) }),
    (s) => gzip(s, { crc: 1 }),
    (s) => gzip(s, { size: 1 }),
    (s) => gzip(s, { level: 0 }),
    (s) => gzip(s).subarray(0, -4),
    (s) => Buffer.concat([gzip(s), gzip(Buffer.alloc(512))]),
    (s) => Buffer.concat([gzip(s), bytes(0x1f)]),
    (s) => Buffer.concat([gzip(s), bytes(0x1f, 0x8b)]),
  ];
  return seldom(odd, (stream: Buffer) => gzip(stream), 15);
}
