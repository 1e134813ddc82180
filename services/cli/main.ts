#!/usr/bin/env node
import { EXIT } from "../../proto/errors.ts";
import { runCommandLine } from "./run-command-line.ts";

/** npx forwards the terminal's Ctrl-C that this process got already: within this time two signals are one. */
const ONE_SIGNAL_MS = 500;

function listen(): AbortSignal {
  const interrupt = new AbortController();
  let firstAt = 0;
  const onSignal = (): void => {
    // A second Ctrl-C is meant: whoever presses it twice does not want to wait.
    if (interrupt.signal.aborted && performance.now() - firstAt > ONE_SIGNAL_MS)
      process.exit(EXIT.interrupted);
    if (interrupt.signal.aborted) return;
    firstAt = performance.now();
    interrupt.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return interrupt.signal;
}

// `granary releases O/P | head`: whoever stops reading has seen enough.
process.stdout.on("error", (error: NodeJS.ErrnoException) =>
  process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.other),
);

process.exitCode = await runCommandLine({
  argv: process.argv.slice(2),
  env: process.env,
  cwd: process.cwd(),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  listen,
});
