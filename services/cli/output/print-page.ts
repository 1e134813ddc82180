import type { Page } from "../../../proto/http.ts";
import type { Output } from "./output.ts";
import type { TableRow } from "./table.ts";

export interface PageTable<T> {
  readonly header: readonly string[];
  readonly row: (item: T) => TableRow;
  /** Columns that a narrow terminal goes without, the first one first. */
  readonly spare?: readonly string[];
  /** What to say when there is nothing. */
  readonly empty: string;
  /** Flag that goes on where a page ends; `--cursor` when absent. */
  readonly more?: string;
}

/** A list: with --json its items as one array, else a table; says how to go on when there is more. */
export function printPage<T>(output: Output, page: Page<T>, table: PageTable<T>): void {
  output.emit(page.items, () =>
    output.table(table.header, page.items.map(table.row), table.empty, table.spare),
  );
  if (page.next_cursor !== null)
    output.note(`there is more: ${table.more ?? "--cursor"} ${page.next_cursor}`);
}
