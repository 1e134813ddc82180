import { existsSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { ERROR_CODES, EXIT, GranaryError } from "../../../proto/errors.ts";
import { KARTA_FILE, parseKartaToml } from "../../../proto/karta-toml.ts";
import { parseName } from "../../../proto/names.ts";
import { contextsFile, readContexts } from "../config/contexts.ts";
import { farmFile, readFarmFile } from "../config/farm-file.ts";
import { findProjectFile } from "../config/project-file.ts";
import type { VerbHandler } from "../verb-context.ts";

interface Check {
  readonly file: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly code?: string;
}

/** Checks every file that the command line reads, and the farm's where one is named; exits with the first failure's code. */
export const configCheck: VerbHandler<"config check"> = async ({ args, output, env, cwd }) => {
  const named = path.resolve(cwd, args[0] ?? ".");
  const stat = statSync(named, { throwIfNoEntry: false });
  if (stat === undefined) throw new GranaryError("USAGE", `there is no ${named}`, { file: named });
  const directory = stat.isFile() ? path.dirname(named) : named;
  const farm = farmFile(args[0] === undefined ? undefined : named, env["GRANARY_CONFIG"]);
  const karta = path.join(directory, KARTA_FILE);
  const checks: Check[] = [
    await check(contextsFile(env), () => checkContexts(env, output.warn.bind(output))),
    await check(path.join(directory, ".granary.toml"), () => checkProjectFile(directory)),
    await check(karta, () =>
      existsSync(karta) ? parseKartaToml(readFileSync(karta)).warnings.join("; ") || "valid" : "none",
    ),
    ...(farm === undefined ? [] : [await check(farm, () => checkFarmFile(farm))]),
  ];
  output.emit(checks, () => {
    for (const { file, ok, detail } of checks) output.line(`${ok ? "ok   " : "error"}  ${file}: ${detail}`);
  });
  const failed = checks.find(({ ok }) => !ok);
  return failed === undefined ? EXIT.ok : failed.code === undefined ? EXIT.other : exitOf(failed.code);
};

function exitOf(code: string): number {
  return Object.entries(ERROR_CODES).find(([known]) => known === code)?.[1].exit ?? EXIT.other;
}

async function check(file: string, run: () => string | Promise<string>): Promise<Check> {
  try {
    return { file, ok: true, detail: await run() };
  } catch (error) {
    if (!(error instanceof GranaryError)) throw error;
    const { message, code } = error;
    const detail = message.startsWith(file) ? message.slice(file.length).replace(/^: ?/, "") : message;
    return { file, ok: false, detail, code };
  }
}

async function checkFarmFile(file: string): Promise<string> {
  await readFarmFile(file);
  return "a farm's settings, valid";
}

function checkContexts(env: Parameters<typeof readContexts>[0], warn: (text: string) => void): string {
  const file = contextsFile(env);
  if (!existsSync(file)) return "none";
  const names = Object.keys(readContexts(env).contexts);
  if ((statSync(file).mode & 0o077) !== 0) warn(`${file} holds tokens and others may read it: chmod 600`);
  return names.length === 0 ? "no contexts" : `contexts ${names.join(", ")}`;
}

function checkProjectFile(directory: string): string {
  const found = findProjectFile(directory);
  if (found === undefined) return "none, here or above";
  for (const [at, part] of (found.project ?? "").split("/").entries()) {
    if (found.project !== undefined)
      parseName(part, at === 0 && found.project.includes("/") ? "org" : "project");
  }
  return `${found.file} is valid`;
}
