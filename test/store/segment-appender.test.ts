import assert from "node:assert/strict";
import { hash } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { createFsCells, injectFault, StoreFs } from "../../store/fs.ts";
import { RECORD_KIND, RECORD_OVERHEAD_BYTES, SEGMENT_HEADER_BYTES } from "../../store/pack-format.ts";
import { scanSegment } from "../../store/scan-segment.ts";
import { SegmentAppender } from "../../store/segment-appender.ts";
import { StorePaths } from "../../store/store-paths.ts";
import { contentOf } from "../helpers/store-fixture.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

interface Bench {
  readonly appender: SegmentAppender;
  readonly paths: StorePaths;
  readonly cells: SharedArrayBuffer;
}

function newAppender(maxBytes?: number): Bench {
  const paths = new StorePaths(tempFolder());
  fs.mkdirSync(paths.packs);
  const segmentIds = new SharedArrayBuffer(4);
  new Int32Array(segmentIds)[0] = 1;
  const cells = createFsCells();
  const options = {
    paths,
    fs: new StoreFs(cells),
    segmentIds,
    ...(maxBytes === undefined ? {} : { maxBytes }),
  };
  return { appender: new SegmentAppender(options), paths, cells };
}

function append(appender: SegmentAppender, payload: Buffer): number {
  return appender.append(RECORD_KIND.blob, payload, { bytes: hash("sha256", payload, "buffer"), at: 0 });
}

/** Offsets and sizes of the records in a segment, and where the walk ended. */
function scan(path: string, id: number): { records: { offset: number; size: number }[]; end: number } {
  const fd = fs.openSync(path, "r");
  try {
    const records: { offset: number; size: number }[] = [];
    const walk = scanSegment(fd, id)?.records;
    for (let next = walk?.next(); next !== undefined; next = walk?.next()) {
      if (next.done === true) return { records, end: next.value };
      records.push({ offset: next.value.offset, size: next.value.payloadBytes });
    }
    return { records, end: 0 };
  } finally {
    fs.closeSync(fd);
  }
}

describe("the segment appender", () => {
  it("writes records that a walk by lengths finds again, whatever their size", () => {
    const { appender, paths } = newAppender();
    appender.open();
    const sizes = [0, 1, 500_000, 600_000, 1_048_512, 1_048_513, 3_000_000, 7];
    const expected = sizes.map((size) => ({ offset: append(appender, contentOf(size, size)), size }));
    appender.flush();
    const { records, end } = scan(paths.segment(1), 1);
    assert.deepEqual(records, expected);
    assert.equal(end, appender.end);
    assert.equal(
      end,
      SEGMENT_HEADER_BYTES + sizes.reduce((sum, size) => sum + size + RECORD_OVERHEAD_BYTES, 0),
    );
    appender.close();
  });

  it("rotates between tasks, never within one", () => {
    const { appender } = newAppender(10_000);
    appender.open();
    append(appender, contentOf(1, 20_000));
    append(appender, contentOf(2, 20_000));
    assert.equal(appender.id, 1);
    appender.rotateIfFull();
    assert.equal(appender.id, 0);
    appender.open();
    assert.equal(appender.id, 2);
    appender.rotateIfFull();
    assert.equal(appender.id, 2);
    appender.close();
  });

  it("goes on behind what was kept after a truncation, also one within the buffer", () => {
    const { appender, paths } = newAppender();
    appender.open();
    append(appender, contentOf("kept", 700));
    const start = appender.end;
    append(appender, contentOf("gone", 300));
    appender.truncate(start);
    append(appender, contentOf("gone big", 2_000_000));
    append(appender, contentOf("gone too", 300));
    appender.truncate(start);
    append(appender, contentOf("next", 50));
    appender.flush();
    assert.deepEqual(
      scan(paths.segment(1), 1).records.map(({ size }) => size),
      [700, 50],
    );
    assert.equal(fs.statSync(paths.segment(1)).size, appender.end);
    appender.close();
  });

  it("leaves no torn write behind a truncation", () => {
    const { appender, paths, cells } = newAppender();
    appender.open();
    append(appender, contentOf("kept", 700));
    const start = appender.end;
    injectFault(cells, { op: "segment.write", errno: "ENOSPC" });
    assert.throws(() => append(appender, contentOf("too much", 2_000_000)), { code: "STORE_FULL" });
    appender.truncate(start);
    append(appender, contentOf("next", 50));
    appender.flush();
    assert.deepEqual(
      scan(paths.segment(1), 1).records.map(({ size }) => size),
      [700, 50],
    );
    appender.close();
  });

  it("lets go of a segment that it cannot truncate", () => {
    const { appender, paths, cells } = newAppender();
    appender.open();
    append(appender, contentOf("gone", 2_000_000));
    injectFault(cells, { op: "segment.truncate", errno: "EIO" });
    appender.truncate(SEGMENT_HEADER_BYTES);
    assert.equal(appender.id, 0);
    appender.open();
    assert.equal(appender.id, 2);
    assert.deepEqual(fs.readdirSync(join(paths.packs)).sort(), ["00000001.pack", "00000002.pack"]);
    appender.close();
  });
});

describe("a walk through a segment", () => {
  it("does not take content for records, not even copies of the segment itself", () => {
    const { appender, paths } = newAppender();
    appender.open();
    append(appender, contentOf("first", 100));
    appender.flush();
    const copy = fs.readFileSync(paths.segment(1));
    append(appender, copy);
    append(appender, copy.subarray(SEGMENT_HEADER_BYTES));
    appender.flush();
    assert.deepEqual(
      scan(paths.segment(1), 1).records.map(({ size }) => size),
      [100, copy.length, copy.length - SEGMENT_HEADER_BYTES],
    );
    appender.close();
  });

  it("ends where a record is torn", () => {
    const { appender, paths } = newAppender();
    appender.open();
    append(appender, contentOf(1, 1000));
    const end = appender.end;
    append(appender, contentOf(2, 1000));
    appender.flush();
    for (let size = appender.end - 1; size > end; size -= 7) {
      fs.truncateSync(paths.segment(1), size);
      assert.equal(scan(paths.segment(1), 1).end, end);
    }
    appender.close();
  });

  it("ends at a header with any flipped bit", () => {
    const { appender, paths } = newAppender();
    appender.open();
    append(appender, contentOf(1, 10));
    const offset = append(appender, contentOf(2, 10));
    append(appender, contentOf(3, 10));
    appender.flush();
    const good = fs.readFileSync(paths.segment(1));
    for (let bit = 0; bit < 28 * 8; bit++) {
      const bad = Buffer.from(good);
      bad[offset + (bit >> 3)] = (bad[offset + (bit >> 3)] ?? 0) ^ (1 << (bit & 7));
      fs.writeFileSync(paths.segment(1), bad);
      assert.equal(scan(paths.segment(1), 1).end, offset);
    }
    appender.close();
  });

  it("finds the nonce in the first record when the segment's own header is damaged", () => {
    const { appender, paths } = newAppender();
    appender.open();
    append(appender, contentOf(1, 10));
    appender.flush();
    const bytes = fs.readFileSync(paths.segment(1));
    bytes.fill(0, 0, SEGMENT_HEADER_BYTES);
    fs.writeFileSync(paths.segment(1), bytes);
    const fd = fs.openSync(paths.segment(1), "r");
    assert.equal(scanSegment(fd, 1)?.headerDamaged, true);
    fs.closeSync(fd);
    assert.equal(scan(paths.segment(1), 1).records.length, 1);
    appender.close();
  });
});
