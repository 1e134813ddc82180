import { existsSync } from "node:fs";
import path from "node:path";
import { httpUrl, optional, someText, tableOf } from "./check-table.ts";
import { readToml } from "./read-toml.ts";

const PROJECT_FILE = ".granary.toml";

export interface ProjectFile {
  readonly file: string;
  readonly url?: string | undefined;
  readonly context?: string | undefined;
  /** `[ORG/]PROJECT`. */
  readonly project?: string | undefined;
}

const check = tableOf<Omit<ProjectFile, "file">>({
  url: optional(httpUrl),
  context: optional(someText),
  project: optional(someText),
});

/**
 * The nearest `.granary.toml` of a directory or its parents. It may be committed, so it holds no token: `url`, `context`,
 * `project` and nothing else.
 * @throws GranaryError CONFIG_INVALID
 */
export function findProjectFile(directory: string): ProjectFile | undefined {
  for (let at = path.resolve(directory); ; at = path.dirname(at)) {
    const file = path.join(at, PROJECT_FILE);
    if (existsSync(file)) return { file, ...readToml(file, (value) => check(value, "")) };
    if (at === path.dirname(at)) return undefined;
  }
}
