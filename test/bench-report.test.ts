import assert from "node:assert/strict";
import { test } from "node:test";
import { benchOptions } from "./bench/options.ts";
import { markdownReport } from "./bench/report.ts";
import { isReached, missingRow, roundsRow, valueRow } from "./bench/row.ts";
import { runMeasurements } from "./bench/run-measurements.ts";
import { median, percentile, spread, timesFaster } from "./bench/statistics.ts";
import { tempFolder } from "./helpers/temp-folder.ts";

test("a median is the middle value, in whatever order the rounds came", () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([4, 1, 3, 2]), 3);
  assert.ok(Number.isNaN(median([])));
});

test("p99 of 200 values is one that two values reach, and never one beyond the last", () => {
  const values = Array.from({ length: 200 }, (_, i) => 200 - i);
  assert.equal(percentile(values, 0.99), 199);
  assert.equal(percentile([7], 0.99), 7);
  assert.equal(percentile(values, 1), 200);
});

test("a ratio above 1 says that we are faster, by medians and not by means", () => {
  assert.equal(timesFaster([50, 50, 5_000], [100, 100, 1]), 2);
  assert.equal(spread([3, 10, 4]), 7);
});

test("a target is judged by the value, or by the ratio where it is about that, and not at all where nothing was measured", () => {
  assert.equal(isReached(valueRow("cpu", 20, "ms", { reach: { atMost: 20 } })), true);
  assert.equal(isReached(valueRow("rate", 249, "/s", { reach: { atLeast: 250 } })), false);
  const faster = { atLeast: 1.5, of: "timesTar" } as const;
  assert.equal(isReached(roundsRow("publish", [100], { tar: [160], reach: faster })), true);
  assert.equal(isReached(roundsRow("publish", [100], { tar: [140], reach: faster })), false);
  assert.equal(isReached(roundsRow("publish", [100], { reach: faster })), undefined);
  assert.equal(isReached(missingRow("a tool", "not installed")), undefined);
});

test("the report has a line for each row, those of missing tools too, and ends with the targets that were missed", () => {
  const text = markdownReport({
    date: "2026-11-21",
    command: "npm run bench",
    machine: "2 x cpu",
    corpus: { name: "some packages", files: 3, bytes: 2_500_000, archiveBytes: 500_000 },
    sections: [
      {
        title: "Archives",
        rows: [
          roundsRow("publish", [200, 100, 150], {
            tar: [300],
            reach: { atLeast: 2.5, of: "timesTar" },
            note: "synced",
          }),
          valueRow("requests", 3, "", { reach: { atMost: 5 } }),
          missingRow("a tool", "not installed: tool"),
        ],
        notes: ["A note."],
      },
    ],
  });
  const lines = text.split("\n");
  assert.ok(lines.includes("| publish | 150 ms | 100 | 3 | 2.00 | >= 2.5 x | missed; synced |"), text);
  assert.ok(lines.includes("| requests | 3.00 |  |  |  | <= 5 | reached |"), text);
  assert.ok(lines.includes("| a tool |  |  |  |  |  | not installed: tool |"), text);
  assert.ok(text.endsWith("\nA note.\n\nTargets: 1 of 2 reached; missed:\n- Archives: publish\n"), text);
});

test("a measurement that fails is named, and those behind it still run", async () => {
  const rows = [valueRow("requests", 3, ""), { ...missingRow("a tool", "failed: exit 1"), failed: true }];
  const said: string[] = [];
  const { sections, failed } = await runMeasurements(
    [
      { name: "broken", measure: () => Promise.reject(new Error("no farm")) },
      { name: "long", isFullOnly: true, measure: () => Promise.reject(new Error("not asked for")) },
      { name: "whole", measure: async () => [{ title: "Whole", rows }] },
    ],
    { folder: tempFolder(), full: false } as never,
    { only: [], say: (line) => said.push(line) },
  );
  assert.deepEqual(
    sections.map(({ title }) => title),
    ["Whole"],
  );
  assert.deepEqual(failed, ["broken", "whole: a tool"]);
  assert.match(said.join("\n"), /broken failed: Error: no farm/);
});

test("rounds are a whole number, more of them with --full, and an unknown flag is refused", () => {
  assert.ok(benchOptions(["--full"]).rounds > benchOptions([]).rounds);
  assert.equal(benchOptions(["--rounds", "2"]).rounds, 2);
  assert.throws(() => benchOptions(["--rounds", "0"]), /--rounds has to be/);
  assert.throws(() => benchOptions(["--fast"]), /--fast/);
});
