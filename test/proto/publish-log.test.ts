import assert from "node:assert/strict";
import { test } from "node:test";
import { LIMITS } from "../../proto/limits.ts";
import {
  END_OF_LOG,
  encodeLog,
  formatLogCursor,
  isBehindInLog,
  type LogLine,
  LogLines,
  parseLog,
  parseLogCursor,
} from "../../proto/publish-log.ts";

function attempt(number: number, before: readonly LogLine[] = []): { log: LogLines; told: LogLine[] } {
  const told: LogLine[] = [];
  const log = new LogLines(before, { attempt: number, now: () => 0, onLine: (line) => told.push(line) });
  return { log, told };
}

test("lines are numbered within their attempt, told as they are written, and survive being stored", () => {
  const first = attempt(1);
  first.log.add("info", "one");
  first.log.add("warn", "two\nof two lines");
  const second = attempt(2, first.log.lines);
  second.log.add("error", "three \u00e9");
  assert.deepEqual(
    second.log.lines.map((line) => `${formatLogCursor(line)} ${line.level}`),
    ["1-1 info", "1-2 warn", "2-1 error"],
  );
  assert.deepEqual(second.told, second.log.lines.slice(2));
  assert.deepEqual(parseLog(encodeLog(second.log.lines)), second.log.lines);
});

test("a log is bounded in lines, in characters, and in those of one line, and its last line says so", () => {
  const { log } = attempt(1);
  for (let i = 0; i < LIMITS.logLines + 10; i++) log.add("info", "x");
  assert.equal(log.lines.length, LIMITS.logLines + 1);
  assert.match(log.lines.at(-1)?.text ?? "", /full/);
  const again = attempt(2, log.lines);
  again.log.add("info", "y");
  assert.equal(again.log.lines.length, LIMITS.logLines + 1, "a full log stays full");

  const long = attempt(1);
  for (let i = 0; i < 1_000; i++) long.log.add("info", "z".repeat(100_000));
  assert.ok(long.log.lines.every(({ text }) => text.length <= LIMITS.logLineLength + 3));
  assert.ok(encodeLog(long.log.lines).byteLength < 2 * LIMITS.logLength);
});

test("cursors follow the order of lines; nonsense is refused", () => {
  assert.ok(isBehindInLog({ attempt: 2, n: 1 }, parseLogCursor("1-5000")));
  assert.ok(!isBehindInLog({ attempt: 1, n: 3 }, parseLogCursor("1-3")));
  assert.ok(isBehindInLog(END_OF_LOG, parseLogCursor("7-5001")));
  for (const text of ["", "1", "-1-1", "1-x", "1-1 ", "1e3-1", "1-99999999"])
    assert.throws(() => parseLogCursor(text), { code: "USAGE" }, text);
});
