import { ERROR_CODES } from "../../../proto/errors.ts";
import { exitNames } from "./exit-name.ts";

/** docs/errors.md, whole. */
export function renderErrorsPage(): string {
  const rows = Object.entries(ERROR_CODES).map(([code, spec]) =>
    row([
      `\`${code}\``,
      String(spec.http),
      String(spec.exit),
      spec.retryable ? "yes" : "",
      spec.title,
      spec.hint,
    ]),
  );
  return [
    "# Errors",
    "",
    "<!-- Written by `granary explain --all --markdown`; a test keeps it in step with proto/errors.ts. -->",
    "",
    "A failure has a code. It stands in the `code` member of problem documents (RFC 9457), in failed publishes, in `error CODE:`",
    "on the command line, and decides the exit code. `granary explain CODE` shows one row of this table.",
    "",
    "## Codes",
    "",
    row(["code", "HTTP", "exit", "retry", "meaning", "what to do"]),
    row(["---", "--:", "--:", "---", "---", "---"]),
    ...rows,
    "",
    "## Exit codes",
    "",
    row(["exit", "meaning"]),
    row(["--:", "---"]),
    ...exitNames().map(([exit, name]) => row([String(exit), name])),
    "",
  ].join("\n");
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}
