import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { logLines } from "../../../services/shared/log-lines.ts";
import { waitUntil } from "../../helpers/wait-until.ts";

/** A pipe that takes `room` bytes and then says that it would block. */
function pipe(room: number) {
  const state = { text: "", room, writes: 0 };
  const write = (_fd: number, bytes: Buffer): number => {
    if (state.room === 0) throw Object.assign(new Error("busy"), { code: "EAGAIN" });
    const taken = bytes.subarray(0, state.room);
    state.room -= taken.byteLength;
    state.text += taken.toString();
    state.writes += 1;
    return taken.byteLength;
  };
  return { state, lines: logLines(2, write) };
}

test("lines of one turn are one write, and a warning takes all before it along at once", async () => {
  const { state, lines } = pipe(1_000);
  lines.lastLevel = 30;
  for (const line of ["a\n", "b\n"]) lines.write(line);
  assert.equal(state.text, "");
  await turn();
  assert.deepEqual([state.text, state.writes], ["a\nb\n", 1]);
  lines.write("c\n");
  lines.lastLevel = 40;
  lines.write("d\n");
  assert.equal(state.text, "a\nb\nc\nd\n");
});

test("a reader that does not read stops nobody: lines wait in order, and go on where a write was cut", async () => {
  const { state, lines } = pipe(3);
  lines.lastLevel = 40;
  for (const line of ["one\n", "two\n", "three\n"]) lines.write(line);
  assert.equal(state.text, "one");
  state.room = 1_000;
  await waitUntil("all lines are there", 10_000, () => state.text === "one\ntwo\nthree\n");
});

test("what waits is bounded: beyond it lines are dropped, and their number is said", () => {
  const { state, lines } = pipe(0);
  const line = `${"x".repeat(999)}\n`;
  lines.lastLevel = 30;
  for (let n = 0; n < 2_000; n++) lines.write(line);
  state.room = Number.MAX_SAFE_INTEGER;
  lines.flush();
  assert.equal(state.text.length - state.text.indexOf("{"), state.text.length - 1_048 * 1_000);
  assert.match(state.text, /"952 lines of the log were dropped"\}\n$/);
});
