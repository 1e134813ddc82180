import { printable } from "./format.ts";
import { fitText, padEnd, padStart, textWidth } from "./text-width.ts";

export type TableRow = readonly (string | number | undefined)[];

/** To these text is cut on a narrow terminal, the second where the first does not do: narrower a column tells nothing. */
const CUTS = [12, 6];
const GAP = "  ";
/** As `formatTime` writes it. */
const TIME = /^[0-9]{4}-([0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2})Z$/;

export interface TableOptions {
  /** Of the terminal; undefined where there is none: then nothing is cut or left out. */
  readonly width?: number | undefined;
  /** Headers of the columns that give way first, in this order. */
  readonly spare?: readonly string[];
}

/**
 * Lines of an aligned table, header first; numbers stand right, columns without content are left out. Where it is too wide, times lose
 * their year, spare columns go (an ellipsis in the header says so), and text is cut. The first column is never cut: it is what people copy.
 */
export function renderTable(
  header: readonly string[],
  rows: readonly TableRow[],
  { width, spare = [] }: TableOptions = {},
): string[] {
  const columns = header
    .map((name, at) => columnOf(name, rows, at))
    .filter(({ cells }) => cells.some((cell) => cell !== ""));
  const { shown, left } = width === undefined ? { shown: columns, left: false } : fit(columns, width, spare);
  const lines = [
    shown.map(({ name }) => name),
    ...rows.map((_, row) => shown.map(({ cells }) => cells[row] ?? "")),
  ];
  return lines.map((cells, at) => {
    const line = cells
      .map((cell, column) => {
        const { columns = 0, right = false } = shown[column] ?? {};
        const fitted = fitText(cell, columns);
        return right ? padStart(fitted, columns) : padEnd(fitted, columns);
      })
      .join(GAP)
      .trimEnd();
    return width === undefined ? line : fitText(at === 0 && left ? `${line}  …` : line, width);
  });
}

interface Column {
  readonly name: string;
  readonly cells: readonly string[];
  readonly right: boolean;
  readonly columns: number;
}

function columnOf(name: string, rows: readonly TableRow[], at: number): Column {
  const cells = rows.map((row) => text(row[at]));
  const right = rows.every((row) => row[at] === undefined || typeof row[at] === "number");
  return { name, cells, right, columns: widest(name, cells) };
}

function fit(
  columns: readonly Column[],
  width: number,
  spare: readonly string[],
): { readonly shown: readonly Column[]; readonly left: boolean } {
  if (total(columns) <= width) return { shown: columns, left: false };
  let shown = columns.map(withoutYear);
  for (const name of spare) {
    if (total(shown) <= width) break;
    shown = shown.filter((column) => column.name !== name);
  }
  return { shown: cut(shown, width), left: shown.length < columns.length };
}

/** Text gives way from the right. */
function cut(columns: readonly Column[], width: number): readonly Column[] {
  let over = total(columns) - width;
  const narrowed = [...columns];
  for (const least of CUTS)
    for (let at = narrowed.length - 1; at > 0 && over > 0; at--) {
      const column = narrowed[at];
      if (column === undefined || column.right || column.columns <= least) continue;
      const left = Math.max(column.columns - over, least);
      narrowed[at] = { ...column, columns: left };
      over -= column.columns - left;
    }
  return narrowed;
}

function withoutYear(column: Column): Column {
  if (!column.cells.every((cell) => cell === "" || TIME.test(cell))) return column;
  const cells = column.cells.map((cell) => cell.replace(TIME, "$1"));
  return { ...column, cells, columns: widest(column.name, cells) };
}

function widest(name: string, cells: readonly string[]): number {
  return Math.max(...[name, ...cells].map(textWidth));
}

function total(columns: readonly Column[]): number {
  return columns.reduce((sum, column) => sum + column.columns + GAP.length, -GAP.length);
}

function text(cell: string | number | undefined): string {
  return cell === undefined ? "" : printable(String(cell));
}
