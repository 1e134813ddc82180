import { formatBytes } from "./format.ts";
import type { Output } from "./output.ts";

const BAR_CELLS = 24;
const REDRAW_MS = 80;

/** A progress bar on a terminal; nothing elsewhere. `end` takes it away. */
export interface Progress {
  add(bytes: number): void;
  end(): void;
}

/** @param totalBytes undefined when nobody knows: only the bytes are counted then */
export function createProgress(output: Output, label: string, totalBytes: number | undefined): Progress {
  let done = 0;
  let drawnAt = 0;
  return {
    add: (bytes) => {
      done += bytes;
      const now = performance.now();
      if (now - drawnAt < REDRAW_MS) return;
      drawnAt = now;
      output.transient(`${label} ${describe(done, totalBytes)}`);
    },
    end: () => output.clearTransient(),
  };
}

function describe(done: number, total: number | undefined): string {
  if (total === undefined || total === 0) return formatBytes(done);
  const share = Math.min(1, done / total);
  const cells = Math.round(share * BAR_CELLS);
  return `[${"#".repeat(cells)}${".".repeat(BAR_CELLS - cells)}] ${Math.floor(share * 100)} %  ${formatBytes(done)} of ${formatBytes(total)}`;
}
