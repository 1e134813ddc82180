import { printable } from "./format.ts";
import type { Output } from "./output.ts";

/** Label and value, one a line, labels aligned; fields without a value are left out. */
export function printFields(
  output: Output,
  fields: readonly (readonly [string, string | number | undefined | null])[],
): void {
  const shown = fields.filter(([, value]) => value !== undefined && value !== null && value !== "");
  const width = Math.max(...shown.map(([label]) => label.length));
  for (const [label, value] of shown) output.line(`${label.padEnd(width)}  ${printable(String(value))}`);
}
