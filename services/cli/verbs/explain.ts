import { ERROR_CODES, EXIT, GranaryError, isErrorCode } from "../../../proto/errors.ts";
import { exitName } from "../help/exit-name.ts";
import { renderErrorsPage } from "../help/render-errors-page.ts";
import { printFields } from "../output/print-fields.ts";
import { suggest } from "../suggest.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Explains one code, or lists all of them. */
export const explain: VerbHandler<"explain"> = async ({ args, flags, output }) => {
  if (flags.has("markdown")) {
    output.line(renderErrorsPage().trimEnd());
    return EXIT.ok;
  }
  if (flags.has("all")) {
    const rows = Object.entries(ERROR_CODES).map(([code, spec]) => ({ code, ...spec }));
    output.emit(rows, () =>
      output.table(
        ["CODE", "EXIT", "HTTP", "MEANING"],
        rows.map((row) => [row.code, row.exit, row.http, row.title]),
        "",
      ),
    );
    return EXIT.ok;
  }
  const code = (args[0] ?? "").toUpperCase().replaceAll("-", "_");
  if (!isErrorCode(code)) {
    const near = suggest(code, Object.keys(ERROR_CODES));
    throw new GranaryError(
      "USAGE",
      code === ""
        ? "name a code, or pass --all"
        : `no such code: ${JSON.stringify(code.slice(0, 80))}${near === undefined ? "; granary explain --all lists them" : `; did you mean ${near}?`}`,
    );
  }
  const spec = ERROR_CODES[code];
  output.emit({ code, ...spec }, () =>
    printFields(output, [
      ["code", code],
      ["meaning", spec.title],
      ["what to do", spec.hint],
      ["exit code", `${spec.exit} (${exitName(spec.exit)})`],
      ["HTTP status", spec.http],
      ["try again", spec.retryable ? "yes, it may pass" : "no, not unchanged"],
    ]),
  );
  return EXIT.ok;
};
