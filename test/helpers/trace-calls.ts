import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";

/** One system call as strace saw it, of any thread of the traced processes. */
export interface TracedCall {
  readonly name: string;
  /** Arguments and result as printed; file descriptors with their paths. */
  readonly text: string;
  /** Its places in the order of everything that was traced: it was not done before `end`. */
  readonly begin: number;
  readonly end: number;
}

export interface CallTrace {
  /** Ends the trace. @returns the calls in the order in which they began */
  stop(): Promise<TracedCall[]>;
}

const CALLS = "fsync,fdatasync,rename,renameat,renameat2,write,writev,pwrite64,sendto,sendmsg";
const ATTACH_MS = 10_000;

/**
 * Attaches strace to processes and all their threads.
 * @returns why that is not possible, where it is not
 */
export async function traceCalls(pids: readonly number[], file: string): Promise<CallTrace | string> {
  const strace = await attach(pids, ["-y", "-s", "80", "-e", `trace=${CALLS}`, "-o", file]);
  if (typeof strace === "string") return strace;
  return {
    stop: async () => {
      strace.kill("SIGINT");
      await once(strace, "exit");
      return parseTrace(readFileSync(file, "utf8"));
    },
  };
}

/**
 * From now on every sync of a process and its threads answers EIO, and does nothing.
 * @returns why that is not possible, where it is not
 */
export async function failSyncs(pid: number, file: string): Promise<{ stop(): void } | string> {
  const syncs = "fsync,fdatasync";
  const strace = await attach([pid], ["-e", `trace=${syncs}`, "-e", `inject=${syncs}:error=EIO`, "-o", file]);
  return typeof strace === "string" ? strace : { stop: () => void strace.kill("SIGINT") };
}

async function attach(pids: readonly number[], args: readonly string[]): Promise<ChildProcess | string> {
  const strace = spawn("strace", ["-f", ...args, ...pids.flatMap((pid) => ["-p", String(pid)])], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  strace.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString("utf8");
  });
  const deadline = performance.now() + ATTACH_MS;
  while (!pids.every((pid) => new RegExp(`Process ${pid} attached`).test(said))) {
    if (strace.exitCode !== null || performance.now() > deadline) {
      strace.kill("SIGINT");
      return `strace cannot attach: ${said.trim().split("\n")[0] ?? "it says nothing"}`;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return strace;
}

const UNFINISHED = "<unfinished ...>";

/** strace(1): a call that another thread interrupts is printed as `<unfinished ...>` and `<... NAME resumed>`. */
function parseTrace(text: string): TracedCall[] {
  const calls: TracedCall[] = [];
  const open = new Map<string, { name: string; text: string; begin: number }>();
  for (const [at, line] of text.split("\n").entries()) {
    const match = /^([0-9]+) +(?:<\.\.\. )?([a-z0-9_]+)(\(| resumed>)(.*)$/.exec(line);
    if (!match) continue;
    const [, thread = "", name = "", kind, rest = ""] = match;
    const begun = kind === "(" ? { name, text: rest, begin: at } : open.get(thread);
    if (begun === undefined) continue;
    if (rest.endsWith(UNFINISHED)) {
      open.set(thread, { ...begun, text: begun.text.replace(UNFINISHED, "").trimEnd() });
      continue;
    }
    open.delete(thread);
    calls.push({ ...begun, text: kind === "(" ? rest : begun.text + rest, end: at });
  }
  return calls.sort((a, b) => a.begin - b.begin);
}
