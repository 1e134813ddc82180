import { formatBytes } from "./format.ts";
import type { Output } from "./output.ts";
import { textWidth } from "./text-width.ts";

const BAR_CELLS = 24;
/** A shorter bar says less than the number behind it. */
const BAR_CELLS_MIN = 6;
const REDRAW_MS = 80;

/** A progress bar on a terminal; nothing elsewhere. `end` takes it away. */
export interface Progress {
  add(bytes: number): void;
  end(): void;
}

/** @param totalBytes undefined when nobody knows: only the bytes are counted then */
export function createProgress(output: Output, label: string, totalBytes: number | undefined): Progress {
  let done = 0;
  let drawnAt = Number.NEGATIVE_INFINITY;
  return {
    add: (bytes) => {
      done += bytes;
      const now = performance.now();
      if (now - drawnAt < REDRAW_MS) return;
      drawnAt = now;
      output.transient(describe(label, done, totalBytes, output.transientColumns));
    },
    end: () => output.clearTransient(),
  };
}

/** The bar takes what label and numbers leave of the line, or goes. */
function describe(label: string, done: number, total: number | undefined, columns: number): string {
  if (total === undefined || total === 0) return `${label} ${formatBytes(done)}`;
  const share = Math.min(1, done / total);
  const numbers = `${Math.floor(share * 100)} %  ${formatBytes(done)} of ${formatBytes(total)}`;
  const room = Math.min(BAR_CELLS, columns - textWidth(`${label} [] ${numbers}`));
  if (room < BAR_CELLS_MIN) return `${label} ${numbers}`;
  const cells = Math.round(share * room);
  return `${label} [${"#".repeat(cells)}${".".repeat(room - cells)}] ${numbers}`;
}
