const SPACE = 0x20;

/** How a field may spell its number beside plain octal digits with a terminator. */
export interface NumberStyle {
  /** Blank or all NUL reads as 0: device numbers, and owners that were left out. */
  readonly empty?: boolean;
  /** Spaces may come first, as old tars pad. All readers skip them, but never in a size here. */
  readonly leadingSpaces?: boolean;
  /** Base-256 behind 0x80. */
  readonly base256?: boolean;
  /** Base-256 behind 0xff: two's complement, for times before 1970. */
  readonly negative?: boolean;
}

/**
 * Reads a numeric header field of `length` bytes. Octal fields hold digits and then at least one NUL or space, and nothing
 * else; base-256 begins with exactly 0x80 (or 0xff where negative), because readers disagree about the bits of other lead
 * bytes. Values beyond 2^53 are inexact but stay larger than any limit.
 *
 * @returns undefined when the field is malformed
 */
export function readTarNumber(
  block: Uint8Array,
  at: number,
  length: number,
  style: NumberStyle,
): number | undefined {
  const lead = block[at] ?? 0;
  if (lead >= 0x80) {
    if (lead === 0x80 && style.base256 === true) return readBase256(block, at + 1, length - 1, 0);
    return lead === 0xff && style.negative === true
      ? -1 - readBase256(block, at + 1, length - 1, 0xff)
      : undefined;
  }
  return readOctal(block, at, at + length, style);
}

function readOctal(block: Uint8Array, at: number, end: number, style: NumberStyle): number | undefined {
  let i = at;
  if (style.leadingSpaces === true) while (i < end && block[i] === SPACE) i++;
  const digitsAt = i;
  let value = 0;
  for (; i < end; i++) {
    const digit = (block[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  const empty = i === digitsAt;
  if (empty ? style.empty !== true : i === end) return undefined;
  for (; i < end; i++) if (block[i] !== 0 && block[i] !== SPACE) return undefined;
  return value;
}

function readBase256(block: Uint8Array, at: number, length: number, flip: number): number {
  let value = 0;
  for (let i = at; i < at + length; i++) value = value * 256 + ((block[i] ?? 0) ^ flip);
  return value;
}
