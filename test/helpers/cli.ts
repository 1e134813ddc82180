import { type ChildProcess, spawn } from "node:child_process";
import path from "node:path";
import { Readable } from "node:stream";
import { runCommandLine } from "../../services/cli/run-command-line.ts";
import { tempFolder } from "./temp-folder.ts";

/** The compiled command line that belongs to these compiled tests. */
export const CLI_MAIN = path.resolve(import.meta.dirname, "../../services/cli/main.js");

export interface CliOptions {
  /** Added to an environment without GRANARY_*, CI and the user's configuration. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stdin?: string | Uint8Array;
}

export interface CliProcessOptions extends CliOptions {
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

/**
 * Runs `granary ARGS` as main.ts does, in this process: one of its own costs a quarter second of a core. For verbs that ask a
 * farm; a farm, and what is done to the data of one that is stopped, needs {@link runCliProcess}.
 */
export async function runCli(
  args: readonly string[],
  options: Omit<CliOptions, "stdin"> & { readonly stdin?: CliOptions["stdin"] | Readable } = {},
): Promise<CliResult> {
  const [stdout, stderr] = [new Text(), new Text()];
  const code = await runCommandLine({
    argv: args,
    env: environment(options),
    cwd: options.cwd ?? home(),
    stdin:
      options.stdin instanceof Readable ? options.stdin : Readable.from([Buffer.from(options.stdin ?? "")]),
    stdout,
    stderr,
    listen: () => new AbortController().signal,
  });
  return { code, stdout: stdout.text, stderr: stderr.text };
}

/** Runs `granary ARGS` as a process of its own, as people do. */
export async function runCliProcess(
  args: readonly string[],
  options: CliProcessOptions = {},
): Promise<CliResult> {
  const child = spawn(process.execPath, [CLI_MAIN, ...args], {
    cwd: options.cwd ?? home(),
    env: environment(options),
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

class Text {
  text = "";

  write(text: string): void {
    this.text += text;
  }
}

function home(): string {
  emptyHome ??= tempFolder();
  return emptyHome;
}

function environment({ env }: Pick<CliOptions, "env">): NodeJS.ProcessEnv {
  return {
    PATH: process.env["PATH"],
    HOME: home(),
    XDG_CONFIG_HOME: path.join(home(), "config"),
    NO_COLOR: "1",
    ...env,
  };
}

async function textOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
