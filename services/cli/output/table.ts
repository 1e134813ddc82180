import { printable } from "./format.ts";

export type TableRow = readonly (string | number | undefined)[];

/** Lines of an aligned table, header first; numbers stand right, columns without content are left out. */
export function renderTable(header: readonly string[], rows: readonly TableRow[], width?: number): string[] {
  const used = header
    .map((_, column) => column)
    .filter((column) => rows.some((row) => text(row[column]) !== ""));
  const cells = [header, ...rows].map((row) => used.map((column) => text(row[column])));
  const right = used.map((column) =>
    rows.every((row) => row[column] === undefined || typeof row[column] === "number"),
  );
  const widths = used.map((_, at) => Math.max(...cells.map((row) => (row[at] ?? "").length)));
  return cells.map((row) => {
    const line = row
      .map((cell, at) => (right[at] ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join("  ")
      .trimEnd();
    return width !== undefined && line.length > width ? `${line.slice(0, width - 1)}…` : line;
  });
}

function text(cell: string | number | undefined): string {
  return cell === undefined ? "" : printable(String(cell));
}
