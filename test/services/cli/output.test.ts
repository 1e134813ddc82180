import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { formatCount } from "../../../services/cli/output/format.ts";
import { Output } from "../../../services/cli/output/output.ts";
import { createProgress } from "../../../services/cli/output/progress.ts";
import { renderTable } from "../../../services/cli/output/table.ts";
import { fitText, textWidth, wrapText } from "../../../services/cli/output/text-width.ts";

/** What publishers could write to take over a terminal, hide, or turn text around. */
const HOSTILE = "a\u001b[2J\u001b]0;owned\u0007\r\u0008\u009b31m\u202e\u2066\u200b\ufeff\u0000z";
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
const RAW = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b\u202a-\u202e\u2066-\u2069\ufeff]/;

class Terminal {
  text = "";
  readonly isTTY = true;
  readonly columns: number;

  constructor(columns = 80) {
    this.columns = columns;
  }

  write(text: string): void {
    this.text += text;
  }
}

function open(options: { json?: boolean; color?: boolean; columns?: number } = {}) {
  const [stdout, stderr] = [new Terminal(options.columns), new Terminal(options.columns)];
  const { json = false, color = false } = options;
  return { stdout, stderr, output: new Output({ stdout, stderr, json, quiet: false, color }) };
}

describe("what others wrote", () => {
  test("reaches no terminal raw, by whichever way it is printed", () => {
    const { output, stdout, stderr } = open();
    output.line(HOSTILE);
    output.note(HOSTILE);
    output.warn(HOSTILE);
    output.say(HOSTILE);
    output.table([HOSTILE, "B"], [[HOSTILE, HOSTILE]], HOSTILE);
    output.table(["A"], [], HOSTILE);
    output.document({ [HOSTILE]: HOSTILE });
    assert.doesNotMatch(stdout.text + stderr.text, RAW);
    assert.match(stdout.text, /\\u001b\[2J/, "it is shown, escaped");
  });

  test("may be on a line that the next one replaces", () => {
    const { output, stderr } = open();
    output.transient(HOSTILE);
    assert.ok(stderr.text.startsWith("\r") && stderr.text.endsWith("\u001b[K"));
    assert.doesNotMatch(stderr.text.slice(1, -"\u001b[K".length), RAW);
  });

  test("is the same JSON, though no control character is in it", () => {
    const { output, stdout } = open({ json: true });
    output.document({ text: HOSTILE });
    assert.deepEqual(JSON.parse(stdout.text), { text: HOSTILE });
  });

  test("has no colours; ours stay", () => {
    const { output, stderr } = open({ color: true });
    output.warn("a\u001b[5mb");
    assert.equal(stderr.text, "\u001b[33mwarning:\u001b[0m a\\u001b[5mb\n");
  });
});

test("a warning that the farm repeats is said once", () => {
  const { output, stderr } = open();
  for (const text of ["a", "b", "a"]) output.warn(text);
  assert.equal(stderr.text, "warning: a\nwarning: b\n");
});

describe("columns", () => {
  test("wide characters take two, marks none, and none is cut in two", () => {
    assert.deepEqual(
      ["abc", "日本", "é", "e\u0301", "👩‍💻", "🇩🇪", "ｈ"].map(textWidth),
      [3, 4, 1, 1, 2, 2, 2],
    );
    assert.equal(fitText("日本語", 4), "日…");
    assert.equal(fitText("👩‍💻👩‍💻👩‍💻", 5), "👩‍💻👩‍💻…");
    assert.equal(fitText("fits", 4), "fits");
    assert.deepEqual(wrapText("one two three", 7), ["one two", "three"]);
  });

  test("of a table stay below their headers, also behind wide characters", () => {
    const lines = renderTable(
      ["REASON", "BY"],
      [
        ["日本語", "a"],
        ["plain", "b"],
      ],
    );
    assert.deepEqual(lines, ["REASON  BY", "日本語  a", "plain   b"]);
  });

  test("of a narrow terminal are shared: times lose the year, spare columns go, then text is cut from the right; what one copies stays whole", () => {
    const name = `acme/${"n".repeat(20)}`;
    const row = [name, "2026-11-21 12:00:00Z", "too long a reason", 12, "by somebody else"];
    const shown = (width?: number) =>
      renderTable(["PROJECT", "TIME", "REASON", "N", "BY"], [row], { width, spare: ["BY", "TIME"] });
    assert.equal(shown()[1], `${name}  2026-11-21 12:00:00Z  too long a reason  12  by somebody else`);
    assert.equal(shown(82)[1], `${name}  11-21 12:00:00  too long a reason  12  by somebody else`);
    assert.equal(shown(70)[1], `${name}  11-21 12:00:00  too long a reason  12`);
    assert.match(shown(70)[0] ?? "", /^PROJECT +TIME +REASON +N {2}…$/);
    assert.equal(shown(50)[1], `${name}  too long a reason  12`);
    assert.equal(shown(44)[1], `${name}  too long a r…  12`);
    for (const columns of [10, 20, 40, 60])
      for (const each of shown(columns)) assert.ok(textWidth(each) <= columns, each);
  });

  test("of a progress bar leave room for its numbers", () => {
    const drawn = (columns: number): string => {
      const { output, stderr } = open({ columns });
      createProgress(output, "sending", 2_000_000).add(1_000_000);
      return stderr.text.slice(1, stderr.text.indexOf("\u001b"));
    };
    assert.equal(drawn(80), `sending [${"#".repeat(12)}${".".repeat(12)}] 50 %  1 MB of 2 MB`);
    assert.equal(drawn(40), "sending [#####.....] 50 %  1 MB of 2 MB");
    assert.equal(drawn(30), "sending 50 %  1 MB of 2 MB");
  });
});

test("a count has a comma before every three digits from the right", () => {
  for (const count of [0, 12, 999, 1_000, 12_345, 123_456, 1_234_567, 1e9])
    assert.equal(formatCount(count), count.toLocaleString("en-US"));
});
