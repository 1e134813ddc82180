import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { GranaryError } from "../../proto/errors.ts";
import type { FlagName } from "../../proto/verbs.ts";
import { saveContext } from "./config/contexts.ts";
import { parseFarmUrl } from "./config/settings.ts";
import type { Environment, VerbContext } from "./verb-context.ts";

/**
 * What a farm is started with. The farm is a sibling service: it is reached by URL, not by import. What is absent comes from
 * the configuration file or its defaults.
 */
export interface FarmOptions {
  readonly data?: string;
  readonly port?: number;
  readonly listen?: string;
  readonly insecure: boolean;
  readonly threads?: number;
  readonly nats?: string;
  readonly node?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly configFile?: string;
  /** Absent: all of them. */
  readonly roles?: readonly string[];
  readonly json: boolean;
  readonly quiet: boolean;
  readonly env: Environment;
  /** Saves the context `local` when everything answers. */
  readonly saveContext: (url: string, token: string) => void;
}

const PORT_MAX = 65_535;
/** `up` makes an admin of this org. */
const UP_ORG = "default";

/** Starts the farm, or some roles of one, and answers its exit code. @throws GranaryError USAGE, and what the farm fails with */
export async function runFarm(
  context: VerbContext<FlagName<"up">>,
  roles: readonly string[] | undefined,
): Promise<number> {
  const { flags, output, env } = context;
  const port = flags.count("port");
  if (port !== undefined && port > PORT_MAX)
    throw new GranaryError("USAGE", `--port wants 0 to ${PORT_MAX}, not ${port}`);
  if (flags.count("threads") === 0) throw new GranaryError("USAGE", "--threads wants at least 1");
  const labels = flags.list("label").map(parseLabel);
  const start = await loadFarm();
  return start({
    ...defined({
      data: flags.text("data"),
      port,
      listen: flags.text("listen"),
      threads: flags.count("threads"),
      nats: flags.text("nats"),
      node: flags.text("node"),
      labels: labels.length === 0 ? undefined : Object.fromEntries(labels),
      configFile: flags.text("config"),
      roles,
    }),
    insecure: flags.has("insecure"),
    json: output.json,
    quiet: output.quiet,
    env,
    saveContext: (url, token) => saveContext(env, "local", { url: parseFarmUrl(url), token, org: UP_ORG }),
  });
}

/** The members that have a value. */
function defined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

/** By `require` where it takes ES modules (not before Node 22.12): `import()` reads each of 350 in turns with the event loop, 65 ms of CPU more, an eighth. */
async function loadFarm(): Promise<(options: FarmOptions) => Promise<number>> {
  const url = new URL("../farm/main.js", import.meta.url);
  const module: unknown = process.features.require_module
    ? createRequire(import.meta.url)(fileURLToPath(url))
    : await import(url.href);
  if (
    typeof module === "object" &&
    module !== null &&
    "runFarm" in module &&
    typeof module.runFarm === "function"
  ) {
    const { runFarm: start } = module;
    return async (options) => Number(await start(options));
  }
  throw new GranaryError("CAPABILITY_MISSING", "this build of granary has no farm in it");
}

function parseLabel(text: string): [string, string] {
  const match = /^([A-Za-z0-9][A-Za-z0-9._/-]{0,62})=(.{0,63})$/.exec(text);
  if (!match) throw new GranaryError("USAGE", `--label wants KEY=VALUE, not ${JSON.stringify(text)}`);
  return [match[1] ?? "", match[2] ?? ""];
}
