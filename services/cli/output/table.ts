import { printable } from "./format.ts";
import { fitText, padEnd, padStart, textWidth } from "./text-width.ts";

export type TableRow = readonly (string | number | undefined)[];

/** Narrower than this a column tells nothing. */
const COLUMN_MIN = 6;
const GAP = "  ";

/**
 * Lines of an aligned table, header first; numbers stand right, columns without content are left out.
 * @param width of the terminal, undefined where there is none: then nothing is cut. The first column gives way last: it is what people copy
 */
export function renderTable(header: readonly string[], rows: readonly TableRow[], width?: number): string[] {
  const used = header
    .map((_, column) => column)
    .filter((column) => rows.some((row) => text(row[column]) !== ""));
  const cells = [header, ...rows].map((row) => used.map((column) => text(row[column])));
  const right = used.map((column) =>
    rows.every((row) => row[column] === undefined || typeof row[column] === "number"),
  );
  const wanted = used.map((_, at) => Math.max(...cells.map((row) => textWidth(row[at] ?? ""))));
  const widths = width === undefined ? wanted : narrowed(wanted, right, width);
  return cells.map((row) => {
    const line = row
      .map((cell, at) => {
        const columns = widths[at] ?? 0;
        const shown = fitText(cell, columns);
        return right[at] ? padStart(shown, columns) : padEnd(shown, columns);
      })
      .join(GAP)
      .trimEnd();
    return width === undefined ? line : fitText(line, width);
  });
}

/** The widths of columns on a narrow terminal: text gives way from the right, and never that of the first column. */
function narrowed(wanted: readonly number[], right: readonly boolean[], width: number): number[] {
  const widths = [...wanted];
  let over = wanted.reduce((sum, columns) => sum + columns + GAP.length, -GAP.length) - width;
  for (let at = widths.length - 1; at > 0 && over > 0; at--) {
    const columns = wanted[at] ?? 0;
    if (right[at] || columns <= COLUMN_MIN) continue;
    const left = Math.max(columns - over, COLUMN_MIN);
    widths[at] = left;
    over -= columns - left;
  }
  return widths;
}

function text(cell: string | number | undefined): string {
  return cell === undefined ? "" : printable(String(cell));
}
