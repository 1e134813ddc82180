import { spawn } from "node:child_process";

/**
 * Runs a program to its end and collects what it printed; never throws for a failing or missing program.
 * @param {string} program @param {readonly string[]} args
 * @param {{cwd?: string, env?: NodeJS.ProcessEnv, timeoutMs?: number}} [options]
 * @returns {Promise<{ok: boolean, output: string, stdout: string}>} `output` is stdout and stderr as they came
 */
export function runCommand(program, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    // spawn's own `timeout` goes on, and keeps the process alive, when the program does not exist.
    const timer = setTimeout(() => child.kill("SIGKILL"), options.timeoutMs ?? 600_000);
    const end = (result) => {
      clearTimeout(timer);
      resolve(result);
    };
    let output = "";
    let stdout = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
      stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      output += chunk;
    });
    child.on("error", (error) => end({ ok: false, output: error.message, stdout: "" }));
    child.on("close", (code) => end({ ok: code === 0, output, stdout }));
  });
}
