import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";

interface ToolOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a program to its end. @returns its standard output @throws with the end of what it said unless it exits with 0 */
export async function runTool(
  program: string,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<string> {
  const child = spawn(program, args, {
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve, reject) => child.once("close", resolve).once("error", reject)),
  ]);
  if (code !== 0)
    throw new Error(
      `${program} ${args.slice(0, 3).join(" ")} ended with ${code}: ${stderr.trim().slice(-500)}`,
    );
  return stdout;
}
