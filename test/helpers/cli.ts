import { type ChildProcess, spawn } from "node:child_process";
import path from "node:path";
import { tempFolder } from "./temp-folder.ts";

/** The compiled command line that belongs to these compiled tests. */
export const CLI_MAIN = path.resolve(import.meta.dirname, "../../services/cli/main.js");

export interface CliOptions {
  /** Added to an environment without GRANARY_*, CI and the user's configuration. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stdin?: string | Uint8Array;
  readonly timeoutMs?: number;
  /** Called with the process while it runs: to send it a signal. */
  readonly onStart?: (child: ChildProcess) => void;
}

export interface CliResult {
  /** Exit code; -1 when a signal or the timeout ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const TIMEOUT_MS = 60_000;
let emptyHome: string | undefined;

/** Runs `granary ARGS` as a process of its own, as people do. */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  emptyHome ??= tempFolder();
  const child = spawn(process.execPath, [CLI_MAIN, ...args], {
    cwd: options.cwd ?? emptyHome,
    env: {
      PATH: process.env["PATH"],
      HOME: emptyHome,
      XDG_CONFIG_HOME: path.join(emptyHome, "config"),
      NO_COLOR: "1",
      ...options.env,
    },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs ?? TIMEOUT_MS);
  // A verb that does not read its input closes it early.
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.stdin ?? "");
  options.onStart?.(child);
  try {
    const [stdout, stderr, code] = await Promise.all([
      textOf(child.stdout),
      textOf(child.stderr),
      new Promise<number | null>((resolve, reject) => child.once("close", resolve).once("error", reject)),
    ]);
    return { code: code ?? -1, stdout, stderr };
  } finally {
    clearTimeout(timer);
  }
}

async function textOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
