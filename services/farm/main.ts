import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { EXIT, GranaryError } from "../../proto/errors.ts";
import {
  completeSettings,
  type FarmSettings,
  parseSettings,
  ROLES,
  type Role,
  type SettingsInput,
} from "../../proto/settings.ts";
import { createLog, type Log } from "../shared/log.ts";
import { readSettingsFile } from "../shared/read-settings-file.ts";
import { letHeapsGrow } from "./let-heaps-grow.ts";
import { type Farm, startFarm } from "./start-farm.ts";

/** What `granary up` and `granary serve` pass on. */
export interface FarmOptions {
  readonly data?: string;
  readonly port?: number;
  readonly listen?: string;
  readonly insecure?: boolean;
  readonly threads?: number;
  readonly nats?: string;
  readonly node?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly configFile?: string;
  /** Roles of this process; all of them, with an embedded nats-server, when absent. */
  readonly roles?: readonly string[];
  readonly json: boolean;
  readonly quiet: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Remembers the farm as the CLI's context `local`. */
  saveContext(url: string, token: string): Promise<void> | void;
}

/**
 * Runs a farm until SIGINT or SIGTERM and its ordered shutdown are over.
 * @returns the exit code
 * @throws GranaryError what kept it from starting: DATA_IN_USE, NATS_MISSING, NATS_UNFIT, CONFIG_INVALID, STORE_*, STATE_BEHIND
 */
export async function runFarm(options: FarmOptions): Promise<number> {
  const settings = settingsOf(options);
  const roles = rolesOf(options.roles);
  refuseOpenListener(settings, options.insecure === true);
  const log = createLog({ level: options.env["GRANARY_LOG"] ?? settings.logLevel, name: "granary" });
  const stop = stopSignal();
  letHeapsGrow();
  const abandoned = stop.received.then((signal): never => {
    throw new GranaryError("CANCELLED", `${signal} came while the farm started`);
  });
  abandoned.catch(() => undefined);
  const farm = await startFarm({ settings, roles, log, abandoned }).catch((error: unknown) => {
    if (!stop.hasCome()) throw error;
    stop.dispose();
    log.info({ reason: String(error) }, "not started");
  });
  if (farm === undefined) return EXIT.ok;
  await rememberFarm(farm, options, log);
  announce(farm, options);
  const reason = await Promise.race([stop.received, farm.failed]);
  if (reason instanceof Error)
    log.error(
      { err: reason },
      "a part failed for good and the process ends: what was acknowledged is on the disk; start it again when the cause is mended",
    );
  else log.info({ reason }, "shutting down");
  await farm.close();
  stop.dispose();
  const code = exitCodeOf(reason);
  // A part that did not close in its time must not keep the process.
  setTimeout(() => process.exit(code), LINGER_MS).unref();
  return code;
}

const LINGER_MS = 2_000;

function exitCodeOf(reason: Error | string): number {
  if (reason instanceof GranaryError) return reason.spec.exit;
  return reason instanceof Error ? EXIT.other : EXIT.ok;
}

/** A home that cannot be written to is no reason not to run. */
async function rememberFarm(farm: Farm, options: FarmOptions, log: Log): Promise<void> {
  if (farm.url === "") return;
  try {
    await options.saveContext(farm.url, farm.token);
  } catch (error) {
    log.warn({ err: error }, "the context `local` could not be saved");
  }
}

function settingsOf(options: FarmOptions): FarmSettings {
  const file = options.configFile === undefined ? {} : readSettingsFile(options.configFile);
  const flags: SettingsInput = {
    data: options.data,
    port: options.port,
    listen: options.listen,
    threads: options.threads,
    nats: options.nats,
    node: options.node,
    labels: options.labels,
  };
  const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
  const input = parseSettings({ ...file, ...given }, options.configFile ?? "the command line");
  const settings = completeSettings(input, availableParallelism());
  return { ...settings, data: resolve(settings.data) };
}

function rolesOf(names: readonly string[] | undefined): ReadonlySet<Role> {
  if (names === undefined) return new Set(ROLES);
  const unknown = names.find((name) => !(ROLES as readonly string[]).includes(name));
  if (unknown !== undefined)
    throw new GranaryError(
      "USAGE",
      `there is no role ${JSON.stringify(unknown)}; roles are ${ROLES.join(", ")}`,
    );
  const roles = new Set(names as readonly Role[]);
  const content = ["api", "node", "registry"] as const;
  const some = content.filter((role) => roles.has(role));
  if (some.length > 0 && some.length < content.length) {
    throw new GranaryError(
      "CAPABILITY_MISSING",
      `content does not move between machines yet: run ${content.join(", ")} in one process (\`granary serve ${content.join(" ")}\`)`,
    );
  }
  return roles;
}

/** Tokens travel in headers: in clear text only over loopback, unless the operator says that a proxy does TLS. */
function refuseOpenListener(settings: FarmSettings, insecure: boolean): void {
  if (insecure || settings.tls !== undefined || ["127.0.0.1", "::1", "localhost"].includes(settings.listen))
    return;
  throw new GranaryError(
    "USAGE",
    `listening on ${settings.listen} without TLS needs --insecure (put a TLS proxy in front), or tls_cert and tls_key in the configuration`,
  );
}

function announce(farm: Farm, options: FarmOptions): void {
  if (options.json) {
    const line = {
      ready: true,
      url: farm.url,
      registry: farm.registry,
      token: farm.token,
      nats: farm.nats,
      data: farm.data,
      pid: process.pid,
    };
    process.stdout.write(`${JSON.stringify(line)}\n`);
    return;
  }
  if (options.quiet) return;
  if (farm.url === "") {
    process.stdout.write(`Granary runs ${[...(options.roles ?? [])].join(", ")} on ${farm.nats}\n`);
    return;
  }
  const lines = [
    `Granary is up at ${farm.url}`,
    `  data      ${farm.data}`,
    `  token     ${farm.tokenFile} (saved as context "local")`,
    `  registry  ${farm.registry}`,
    "",
    "Publish something:",
    "  npx granary publish examples/support-bot",
    "",
    "Stop with Ctrl-C.",
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}

function stopSignal(): { received: Promise<string>; hasCome(): boolean; dispose(): void } {
  let notify: (signal: string) => void = () => undefined;
  const received = new Promise<string>((resolve) => {
    notify = resolve;
  });
  let hasCome = false;
  const handler = (signal: NodeJS.Signals): void => {
    hasCome = true;
    notify(signal);
  };
  process.on("SIGINT", handler);
  process.on("SIGTERM", handler);
  return {
    received,
    hasCome: () => hasCome,
    dispose: () => {
      process.off("SIGINT", handler);
      process.off("SIGTERM", handler);
    },
  };
}
