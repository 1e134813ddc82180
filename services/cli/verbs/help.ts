import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { VerbSpec } from "../../../proto/verb-spec.ts";
import { VERBS } from "../../../proto/verbs.ts";
import { renderCliPage } from "../help/render-cli-page.ts";
import { renderOverview, renderVerbHelp } from "../help/render-help.ts";
import { suggest } from "../suggest.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Shows all verbs, one verb, the verbs of a noun, or docs/cli.md. */
export const help: VerbHandler<"help"> = async ({ args, flags, output }) => {
  const found = args.length === 0 ? VERBS : verbsCalled(args.join(" "));
  output.emit(found, () =>
    output.line(
      (flags.has("markdown")
        ? renderCliPage()
        : args.length === 0
          ? renderOverview(output.columns)
          : found.map((verb) => renderVerbHelp(verb, output.columns)).join("\n\n---\n\n")
      ).trimEnd(),
    ),
  );
  return EXIT.ok;
};

function verbsCalled(words: string): readonly VerbSpec[] {
  const verbs: readonly VerbSpec[] = VERBS;
  const found = verbs.filter(
    (verb) => verb.name === words || verb.aliases?.includes(words) || verb.name.startsWith(`${words} `),
  );
  if (found.length > 0) return found;
  const near = suggest(
    words,
    verbs.map((verb) => verb.name),
  );
  throw new GranaryError(
    "USAGE",
    `unknown verb ${JSON.stringify(words.slice(0, 60))}${near === undefined ? "" : `; did you mean \`granary help ${near}\`?`}`,
  );
}
