import path from "node:path";
import { EXIT } from "../../../proto/errors.ts";
import { contextsFile } from "../config/contexts.ts";
import { readFarmFile } from "../config/farm-file.ts";
import type { Output } from "../output/output.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Prints the settings in force and their sources; of a token only that there is one. */
export const configPrint: VerbHandler<"config print"> = async ({ args, cwd, output, env, settings }) => {
  if (args[0] !== undefined) return printFarmFile(output, path.resolve(cwd, args[0]));
  const { url, token, context, project, projectFile, org } = settings();
  const rows = [
    { setting: "url", value: url.value, source: url.source },
    { setting: "token", value: token === undefined ? null : "(set)", source: token?.source ?? null },
    { setting: "context", value: context?.value ?? null, source: context?.source ?? null },
    { setting: "org", value: org ?? null, source: org === undefined ? null : `context ${context?.value}` },
    { setting: "project", value: project?.value ?? null, source: project?.source ?? null },
    { setting: "project file", value: projectFile?.file ?? null, source: null },
    { setting: "contexts file", value: contextsFile(env), source: null },
  ];
  output.emit(
    Object.fromEntries(
      rows.map(({ setting, value, source }) => [setting.replace(" ", "_"), { value, source }]),
    ),
    () =>
      output.table(
        ["SETTING", "VALUE", "FROM"],
        rows.map((row) => [row.setting, row.value ?? "-", row.source ?? ""]),
        "",
      ),
  );
  return EXIT.ok;
};

async function printFarmFile(output: Output, file: string): Promise<number> {
  const rows = await readFarmFile(file);
  output.emit(
    Object.fromEntries(rows.map(({ setting, value, source }) => [setting, { value, source }])),
    () =>
      output.table(
        ["SETTING", "VALUE", "FROM"],
        rows.map(({ setting, value, source }) => [setting, value === null ? "-" : textOf(value), source]),
        "",
      ),
  );
  return EXIT.ok;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
