import type { Output } from "./output/output.ts";

/** More than any token. */
const SECRET_BYTES_MAX = 4_096;

const CTRL_C = String.fromCharCode(3);
const CTRL_D = String.fromCharCode(4);

/** One line from stdin; on a terminal it is asked for and not shown. */
export async function readSecret(options: {
  stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  output: Output;
  prompt: string;
  signal: AbortSignal;
}): Promise<string> {
  const { stdin, output, prompt, signal } = options;
  const terminal =
    "setRawMode" in stdin && typeof stdin.setRawMode === "function" && stdin.isTTY === true
      ? stdin.setRawMode.bind(stdin)
      : undefined;
  if (terminal !== undefined) output.transient(prompt);
  terminal?.(true);
  try {
    let text = "";
    for await (const chunk of stdin) {
      signal.throwIfAborted();
      text += String(chunk);
      // Raw mode hands Ctrl-C and Ctrl-D over as characters.
      if (terminal !== undefined && (text.includes(CTRL_C) || text.includes(CTRL_D))) return "";
      if (/[\r\n]/.test(text) || text.length > SECRET_BYTES_MAX) break;
    }
    return text.split(/[\r\n]/)[0] ?? "";
  } finally {
    terminal?.(false);
    if (terminal !== undefined) output.clearTransient();
  }
}
