import { crc32 } from "node:zlib";
import { GranaryError } from "../../proto/errors.ts";
import type { ArchiveLimits } from "../../proto/limits.ts";
import type { ByteSource } from "./byte-source.ts";
import { readGzipHeader } from "./gzip-header.ts";
import { GzipInput } from "./gzip-input.ts";
import { RawInflate } from "./raw-inflate.ts";

/**
 * Inflates a gzip stream of one or more members (RFC 1952) and hands each output window to `onWindow`, checking size, ratio,
 * member count, crc and length on the way. Behind the last member only zero bytes may follow. A window is handed over before
 * the crc of its member is known: what is made of it counts only once this function has returned.
 *
 * @throws GranaryError ARCHIVE_EMPTY, ARCHIVE_NOT_GZIP, ARCHIVE_GZIP_*, ARCHIVE_TOO_MANY_GZIP_MEMBERS, ARCHIVE_TRUNCATED,
 *   ARCHIVE_TRAILING_DATA, ARCHIVE_TOO_LARGE, ARCHIVE_RATIO, ARCHIVE_UPLOAD_TOO_LARGE, and whatever `onWindow` throws
 */
export function gunzip(
  source: ByteSource,
  limits: ArchiveLimits,
  onWindow: (window: Buffer) => void,
): { readonly expandedBytes: number; readonly compressedBytes: number } {
  const input = new GzipInput(source, limits);
  const inflate = new RawInflate();
  const state: State = { input, limits, inflate, onWindow, expandedBytes: 0 };
  try {
    readMembers(state);
  } finally {
    inflate.close();
  }
  return { expandedBytes: state.expandedBytes, compressedBytes: input.consumedBytes };
}

interface State {
  readonly input: GzipInput;
  readonly limits: ArchiveLimits;
  readonly inflate: RawInflate;
  readonly onWindow: (window: Buffer) => void;
  expandedBytes: number;
}

function readMembers(state: State): void {
  const { input, limits, inflate } = state;
  const first = input.byte();
  if (first < 0) throw new GranaryError("ARCHIVE_EMPTY", "the archive has no bytes", { offset: 0 });
  if (first !== 0x1f)
    throw new GranaryError("ARCHIVE_NOT_GZIP", "the body does not begin with the gzip magic 1f 8b", {
      offset: 0,
    });
  let next = first;
  for (let members = 1; next === 0x1f; members++) {
    if (members > limits.gzipMembers) {
      throw new GranaryError(
        "ARCHIVE_TOO_MANY_GZIP_MEMBERS",
        `more than ${limits.gzipMembers} gzip members`,
        {
          actual: members,
          limit: limits.gzipMembers,
          offset: state.expandedBytes,
        },
      );
    }
    if (members > 1) {
      refuseOtherThanMember(state);
      inflate.reset();
    }
    readGzipHeader(input, limits);
    readMember(state);
    next = input.byte();
  }
  for (; next >= 0; next = input.byte()) {
    if (next !== 0) throw trailing(state);
  }
}

/** Behind a member, 0x1f begins another one or is rubbish. */
function refuseOtherThanMember(state: State): void {
  if (!state.input.fill()) throw trailing(state);
  if (state.input.peek(1)[0] !== 0x8b) throw trailing(state);
}

function readMember(state: State): void {
  const { input, inflate } = state;
  const startBytes = state.expandedBytes;
  let crc = 0;
  for (let ended = false; !ended; ) {
    if (!input.fill())
      throw new GranaryError("ARCHIVE_TRUNCATED", "the gzip stream ends in the middle", {
        offset: state.expandedBytes,
      });
    const given = input.peek(inflate.stepBytes);
    const { consumedBytes, windows } = inflateStep(state, given);
    input.skip(consumedBytes);
    ended = consumedBytes < given.length;
    for (const window of windows) {
      crc = crc32(window, crc);
      state.expandedBytes += window.length;
      checkExpansion(state);
      state.onWindow(window);
    }
  }
  const expectedCrc = readUint32(state);
  const expectedSize = readUint32(state);
  if (crc !== expectedCrc) throw corrupt(state, "the crc of a gzip member is wrong");
  const sizeBytes = state.expandedBytes - startBytes;
  if (sizeBytes % 2 ** 32 !== expectedSize)
    throw corrupt(state, `a gzip member says ${expectedSize} bytes but has ${sizeBytes}`);
}

function inflateStep(state: State, given: Buffer): ReturnType<RawInflate["step"]> {
  try {
    return state.inflate.step(given);
  } catch (cause) {
    throw corrupt(state, "the deflate data is damaged", cause);
  }
}

function checkExpansion({ expandedBytes, input, limits }: State): void {
  if (expandedBytes > limits.expandedBytes) {
    throw new GranaryError(
      "ARCHIVE_TOO_LARGE",
      `the archive expands to more than ${limits.expandedBytes} bytes`,
      {
        actual: expandedBytes,
        limit: limits.expandedBytes,
        offset: expandedBytes,
      },
    );
  }
  if (expandedBytes > limits.ratioGraceBytes && expandedBytes > limits.ratio * input.consumedBytes) {
    throw new GranaryError(
      "ARCHIVE_RATIO",
      `${input.consumedBytes} compressed bytes expand to more than ${limits.ratio} times as much`,
      {
        actual: Math.round(expandedBytes / input.consumedBytes),
        limit: limits.ratio,
        offset: expandedBytes,
      },
    );
  }
}

function readUint32(state: State): number {
  let value = 0;
  for (let i = 0; i < 4; i++) {
    const byte = state.input.byte();
    if (byte < 0)
      throw new GranaryError("ARCHIVE_TRUNCATED", "the archive ends in a gzip trailer", {
        offset: state.expandedBytes,
      });
    value += byte * 2 ** (8 * i);
  }
  return value;
}

function corrupt(state: State, message: string, cause?: unknown): GranaryError {
  const detail = { offset: state.expandedBytes, compressedOffset: state.input.consumedBytes };
  return new GranaryError("ARCHIVE_GZIP_CORRUPT", message, detail, { cause });
}

function trailing(state: State): GranaryError {
  return new GranaryError(
    "ARCHIVE_TRAILING_DATA",
    "something other than zero bytes follows the gzip stream",
    {
      offset: state.expandedBytes,
      compressedOffset: state.input.consumedBytes,
    },
  );
}
