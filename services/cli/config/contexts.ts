import path from "node:path";
import { stringify } from "smol-toml";
import { GranaryError } from "../../../proto/errors.ts";
import type { Environment } from "../verb-context.ts";
import { type Check, httpUrl, optional, recordOf, tableOf, text } from "./check-table.ts";
import { readToml } from "./read-toml.ts";
import { writePrivateFile } from "./write-private-file.ts";

export interface SavedContext {
  readonly url: string;
  readonly token?: string | undefined;
  readonly org?: string | undefined;
}

export interface Contexts {
  readonly current?: string | undefined;
  readonly contexts: Readonly<Record<string, SavedContext>>;
}

const checkContext = tableOf<SavedContext>({ url: httpUrl, token: optional(text), org: optional(text) });
const checkFile: Check<Partial<Contexts>> = tableOf<Partial<Contexts>>({
  current: optional(text),
  contexts: optional(recordOf(checkContext)),
});

/** `$XDG_CONFIG_HOME/granary/config.toml`. */
export function contextsFile(env: Environment): string {
  const home = env["XDG_CONFIG_HOME"] || path.join(env["HOME"] ?? "/", ".config");
  return path.join(home, "granary", "config.toml");
}

/** @throws GranaryError CONFIG_INVALID */
export function readContexts(env: Environment): Contexts {
  return { contexts: {}, ...readToml(contextsFile(env), (value) => checkFile(value, "")) };
}

/** Adds or replaces a context and makes it the current one. @throws GranaryError CONFIG_INVALID */
export function saveContext(env: Environment, name: string, context: SavedContext): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name))
    throw new GranaryError("NAME_INVALID", `not a name for a context: ${JSON.stringify(name)}`);
  const before = readContexts(env);
  write(env, { current: name, contexts: { ...before.contexts, [name]: context } });
}

/** @throws GranaryError NOT_FOUND when there is no such context */
export function useContext(env: Environment, name: string): SavedContext {
  const before = readContexts(env);
  const context = savedContext(name, before);
  write(env, { ...before, current: name });
  return context;
}

/** @throws GranaryError NOT_FOUND when there is no such context */
export function savedContext(name: string, saved: Contexts): SavedContext {
  const context = Object.hasOwn(saved.contexts, name) ? saved.contexts[name] : undefined;
  if (context === undefined) throw contextMissing(name, saved);
  return context;
}

function contextMissing(name: string, saved: Contexts): GranaryError {
  const names = Object.keys(saved.contexts);
  const known =
    names.length === 0 ? "none is saved; `granary login` saves one" : `saved are ${names.join(", ")}`;
  return new GranaryError("NOT_FOUND", `there is no context ${JSON.stringify(name)}: ${known}`, {
    hint: "`granary context ls` lists what is saved.",
  });
}

function write(env: Environment, contexts: Contexts): void {
  writePrivateFile(contextsFile(env), `# Written by granary; tokens are secrets.\n${stringify(contexts)}`);
}
