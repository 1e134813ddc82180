import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { EXIT, GranaryError } from "../../proto/errors.ts";
import type { FlagSpec, VerbSpec } from "../../proto/verb-spec.ts";
import { GLOBAL_FLAGS, VERBS, type VerbName } from "../../proto/verbs.ts";
import { askAgain, pasteableFor } from "./ask-again.ts";
import { cliVersion } from "./cli-version.ts";
import { readContexts, savedContext } from "./config/contexts.ts";
import {
  describeToken,
  describeUrl,
  parseFarmUrl,
  resolveSettings,
  type Settings,
} from "./config/settings.ts";
import { renderVerbHelp } from "./help/render-help.ts";
import { type ApiClient, createApiClient } from "./http/api-client.ts";
import { ciToken } from "./http/ci-token.ts";
import { Output, type OutputStream } from "./output/output.ts";
import { renderError } from "./output/render-error.ts";
import { type CommandLine, parseCommandLine } from "./parse-command-line.ts";
import { createFlags, type Environment, type VerbContext } from "./verb-context.ts";
import { VERB_HANDLERS } from "./verb-handlers.ts";

/** The process, as main.ts hands it in. */
export interface CliProcess {
  readonly argv: readonly string[];
  readonly env: Environment;
  readonly cwd: string;
  readonly stdin: VerbContext["stdin"];
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  /** Begins to listen for Ctrl-C; the signal aborts when it comes. */
  readonly listen: () => AbortSignal;
}

/** Runs one command line and answers its exit code; failures are shown here and nowhere else. */
export async function runCommandLine(cli: CliProcess): Promise<number> {
  const output = createOutput(cli);
  let interrupted: AbortSignal | undefined;
  let line: CommandLine | undefined;
  try {
    line = parseCommandLine(cli.argv);
    if (line.flags.has("help") && line.verb !== "help") {
      const spec = specOf(line.verb);
      output.emit(spec, () => output.line(renderVerbHelp(spec, output.columns)));
      return EXIT.ok;
    }
    interrupted = FARM_VERBS.has(line.verb) ? new AbortController().signal : cli.listen();
    return await runVerb(line, { ...cli, interrupted }, output);
  } catch (error) {
    const isUnknown = error instanceof GranaryError && error.code === "OUTCOME_UNKNOWN";
    output.clearTransient();
    if (interrupted?.aborted === true && !isUnknown) return EXIT.interrupted;
    const pasteable = line === undefined ? undefined : pasteableFor(line);
    const exit = renderError(error, output, { verb: line?.verb, pasteable });
    if (error instanceof GranaryError && line !== undefined) explain(error, line, cli, output);
    return interrupted?.aborted === true ? EXIT.interrupted : exit;
  }
}

/** What only this command line knows about a failure. */
function explain(error: GranaryError, line: CommandLine, cli: CliProcess, output: Output): void {
  const key = error.code === "OUTCOME_UNKNOWN" ? error.detail["idempotency_key"] : undefined;
  if (typeof key === "string") output.say(`ask again: ${askAgain(specOf(line.verb), line, key)}`);
  if (error.code === "NO_FARM") {
    const { url } = settingsFor(line, cli);
    const where = error.detail["url"] === url.value ? describeUrl(url, error.detail["reason"]) : "";
    if (where !== "") output.say(where);
  }
  // `login` has read the token that was refused, no other one.
  if (error.code !== "UNAUTHENTICATED" || line.verb === "login") return;
  const { token } = settingsFor(line, cli);
  if (token !== undefined) output.say(describeToken(token));
}

/** A farm shuts down in its own order and listens for signals itself. */
const FARM_VERBS: ReadonlySet<VerbName> = new Set(["up", "serve"]);

async function runVerb(
  line: CommandLine,
  cli: CliProcess & { interrupted: AbortSignal },
  output: Output,
): Promise<number> {
  const spec = specOf(line.verb);
  const { env, cwd, stdin, interrupted } = cli;
  const flags = createFlags(line.flags, (name) => fallbackOf(spec, name, env));
  const settings = once(() => settingsFor(line, cli));
  const context: VerbContext = {
    args: line.args,
    flags,
    output,
    env,
    cwd,
    stdin,
    interrupted,
    settings,
    pasteable: pasteableFor(line),
    apiOf: (name) => {
      const { url, token } = savedContext(name, readContexts(env));
      return createApiClient({ url: parseFarmUrl(url), token, signal: interrupted, userAgent: userAgent() });
    },
    api: once((): ApiClient => {
      const { url, token, project } = settings();
      const reference = DIRECTORY_VERBS.has(line.verb) ? undefined : line.args[0];
      const named = [line.flags.get("project")?.[0] ?? project?.value, reference];
      return createApiClient({
        url: url.value,
        token: token?.value ?? ciToken({ env, url, named, signal: interrupted, userAgent: userAgent() }),
        signal: interrupted,
        userAgent: userAgent(),
        idempotencyKey: line.flags.get("idempotency-key")?.[0],
      });
    }),
  };
  const handler = await VERB_HANDLERS[line.verb]();
  return handler(context);
}

function userAgent(): string {
  return `granary-cli/${cliVersion()}`;
}

function specOf(name: VerbName): VerbSpec {
  const spec = VERBS.find((verb) => verb.name === name);
  if (spec === undefined) throw new RangeError(`no verb ${name}`);
  return spec;
}

/** Environment variable, then default, of a flag that was not given. GRANARY_PROJECT and the like have their own rules. */
function fallbackOf(spec: VerbSpec, name: string, env: Environment): string | undefined {
  const known: readonly FlagSpec[] = [...(spec.flags ?? []), ...GLOBAL_FLAGS];
  const flag = known.find((candidate) => candidate.name === name);
  if (flag === undefined) throw new RangeError(`${spec.name} has no flag ${name}`);
  if (flag.env !== undefined && !RESOLVED.has(flag.env) && env[flag.env]) return env[flag.env];
  return flag.default;
}

/** Variables that take part in a precedence of their own (config/settings.ts, publish/detect-commit.ts). */
const RESOLVED: ReadonlySet<string> = new Set(["GRANARY_PROJECT", "GRANARY_COMMIT"]);

/** Verbs whose first argument is a directory look for `.granary.toml` from there. */
const DIRECTORY_VERBS: ReadonlySet<VerbName> = new Set(["publish", "plan", "verify", "config check"]);

function settingsFor(line: CommandLine, cli: CliProcess): Settings {
  const first = DIRECTORY_VERBS.has(line.verb) ? line.args[0] : undefined;
  const target = path.resolve(cli.cwd, first ?? ".");
  const directory =
    first !== undefined && existsSync(target) && statSync(target).isDirectory() ? target : cli.cwd;
  return resolveSettings({ flag: (name) => line.flags.get(name)?.[0], env: cli.env, directory });
}

/** --json and -q are looked for before the line is parsed: a failure to parse it is shown in the right form, too. */
function createOutput(cli: CliProcess): Output {
  const end = cli.argv.indexOf("--");
  const words = end < 0 ? cli.argv : cli.argv.slice(0, end);
  return new Output({
    stdout: cli.stdout,
    stderr: cli.stderr,
    json: words.includes("--json"),
    quiet: words.includes("-q") || words.includes("--quiet"),
    color: !cli.env["NO_COLOR"] && cli.env["TERM"] !== "dumb",
  });
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
