import { spawn } from "node:child_process";

/** A helper process that ends another one as soon as this process is gone, however it went. */
export interface OrphanGuard {
  /** Ends the guard without touching what it guards. */
  close(): void;
}

/**
 * Guards a child against becoming an orphan: a shell in a session of its own waits on a pipe whose other end only this
 * process holds. When the pipe breaks it sends SIGTERM, and SIGKILL after 5 s.
 * @param pid the process to end
 * @param marker a text in its command line; a later process that got the same pid lacks it and is left alone
 */
export function guardAgainstOrphan(pid: number, marker: string): OrphanGuard {
  let closed = false;
  const start = () => {
    const shell = spawn("/bin/sh", ["-c", SCRIPT, "granary-guard", String(pid), marker], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
      cwd: "/",
      env: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin" },
    });
    shell.unref();
    // Without a shell there is no guard; the sweep at the next start still finds the orphan.
    shell.on("error", () => undefined);
    shell.stdin.on("error", () => undefined);
    shell.on("exit", () => {
      if (!closed) current = setTimeout(restart, RESTART_MS).unref();
    });
    return shell;
  };
  const restart = () => {
    if (!closed) current = start();
  };
  let current: ReturnType<typeof start> | NodeJS.Timeout = start();
  return {
    close() {
      closed = true;
      if ("kill" in current) current.kill("SIGKILL");
      else clearTimeout(current);
    },
  };
}

const RESTART_MS = 1_000;

const SCRIPT = `
ours() {
  if [ -r "/proc/$1/cmdline" ]; then tr '\\0' ' ' <"/proc/$1/cmdline"; else ps -o command= -p "$1"; fi 2>/dev/null | grep -qF -- "$2"
}
while read -r line; do :; done
ours "$1" "$2" || exit 0
kill -TERM "$1"
tries=0
while [ "$tries" -lt 50 ] && ours "$1" "$2"; do sleep 0.1; tries=$((tries + 1)); done
ours "$1" "$2" && kill -KILL "$1"
exit 0
`;
