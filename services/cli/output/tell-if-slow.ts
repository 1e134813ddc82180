import type { Output } from "./output.ts";

/** Nobody should look at an empty screen for longer. */
const SILENT_MS = 1_000;

/** Says what is waited for where it takes more than a second. */
export async function tellIfSlow<T>(output: Output, what: string, work: Promise<T>): Promise<T> {
  const timer = setTimeout(() => output.note(what), SILENT_MS);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}
