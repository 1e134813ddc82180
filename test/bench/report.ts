import type { BenchReport } from "./bench-report.ts";
import { isReached, type Reach, type Row, type Section } from "./row.ts";

/** The whole report as Markdown: what was measured on what, a table a section, and which targets were missed. */
export function markdownReport(report: BenchReport): string {
  const { corpus, machine, command, date } = report;
  const lines = [
    `${date}, \`${command}\`.`,
    `Corpus: ${corpus.name}: ${corpus.files} files, ${megabytes(corpus.bytes)} (${megabytes(corpus.archiveBytes)} as tar.gz).`,
    `Machine: ${machine}.`,
    "",
    ...report.sections.flatMap(sectionLines),
    ...targetLines(report.sections),
  ];
  return `${lines.join("\n")}\n`;
}

function sectionLines({ title, rows, notes = [] }: Section): string[] {
  const table = [
    "| what | median | spread | rounds | x tar xzf | reach | |",
    "|---|---|---|---|---|---|---|",
    ...rows.map(rowLine),
  ];
  return [`### ${title}`, "", ...table, "", ...notes.flatMap((note) => [note, ""])];
}

function rowLine(row: Row): string {
  const { what, value, unit, rounds, timesTar, reach, note } = row;
  const measured = value === undefined ? "" : `${figure(value)} ${unit}`.trim();
  const spread = row.spread === undefined || (rounds ?? 0) < 2 ? "" : figure(row.spread);
  const cells = [
    what,
    measured,
    spread,
    rounds === undefined ? "" : String(rounds),
    timesTar === undefined ? "" : timesTar.toFixed(2),
    reach === undefined ? "" : reachText(reach),
    [verdict(row), note].filter(Boolean).join("; "),
  ];
  return `| ${cells.join(" | ")} |`;
}

function targetLines(sections: readonly Section[]): string[] {
  const judged = sections.flatMap(({ title, rows }) =>
    rows.flatMap((row) => {
      const reached = isReached(row);
      return reached === undefined ? [] : [{ name: `- ${title}: ${row.what}`, reached }];
    }),
  );
  const missed = judged.filter(({ reached }) => !reached).map(({ name }) => name);
  if (judged.length === 0) return [];
  const count = `Targets: ${judged.length - missed.length} of ${judged.length} reached`;
  return [`${count}${missed.length > 0 ? "; missed:" : "."}`, ...missed];
}

function reachText({ atMost, atLeast, of }: Reach): string {
  const unit = of === undefined ? "" : " x";
  return atMost === undefined ? `>= ${atLeast}${unit}` : `<= ${atMost}${unit}`;
}

function verdict(row: Row): string {
  const reached = isReached(row);
  return reached === undefined ? "" : reached ? "reached" : "missed";
}

/** Three digits that matter. */
function figure(value: number): string {
  if (!Number.isFinite(value)) return "-";
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
