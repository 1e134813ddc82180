import { existsSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { readToml } from "./read-toml.ts";

const PROJECT_FILE = ".granary.toml";

const Schema = z.strictObject({
  url: z.url({ protocol: /^https?$/ }).optional(),
  context: z.string().min(1).optional(),
  project: z.string().min(1).optional(),
});

export interface ProjectFile {
  readonly file: string;
  readonly url?: string | undefined;
  readonly context?: string | undefined;
  /** `[ORG/]PROJECT`. */
  readonly project?: string | undefined;
}

/**
 * The nearest `.granary.toml` of a directory or its parents. It may be committed, so it holds no token: `url`, `context`,
 * `project` and nothing else.
 * @throws GranaryError CONFIG_INVALID
 */
export function findProjectFile(directory: string): ProjectFile | undefined {
  for (let at = path.resolve(directory); ; at = path.dirname(at)) {
    const file = path.join(at, PROJECT_FILE);
    if (existsSync(file)) return { file, ...readToml(file, Schema) };
    if (at === path.dirname(at)) return undefined;
  }
}
