import { z } from "zod";
import { parseDurationMs } from "./duration.ts";
import { GranaryError } from "./errors.ts";
import { ARCHIVE_LIMITS, type ArchiveLimits, LIMITS } from "./limits.ts";
import { isName, type Name } from "./names.ts";
import { settingName } from "./setting-name.ts";
import { isIssuer, PROVIDER_ISSUERS } from "./trust.ts";

/** The farm's settings: configuration file (TOML, strict), overridden by flags. One table for reading, printing and docs. */
export const ROLES = ["api", "node", "pointer", "registry", "hooks"] as const;
export type Role = (typeof ROLES)[number];

const positive = z.int().positive();
/** `30m`, `8h`, `7d`. */
const duration = z
  .string()
  .regex(/^(?:0s|[1-9][0-9]{0,6}[smhd])$/, "must be a duration such as 30m, 8h or 7d");

const Limits = z.strictObject({
  upload_bytes: positive.optional(),
  expanded_bytes: positive.optional(),
  file_bytes: positive.optional(),
  entries: positive.max(2_000_000).optional(),
  ratio: positive.optional(),
  ratio_grace_bytes: positive.optional(),
  meta_bytes: positive.max(16_777_216).optional(),
  meta_total_bytes: positive.max(67_108_864).optional(),
  gzip_header_bytes: positive.max(1_048_576).optional(),
  gzip_members: positive.max(1_000_000).optional(),
  extract_ms: positive.optional(),
});

const Snapshots = z.strictObject({
  every: positive.optional(),
  keep: positive.max(100).optional(),
});

/** The configuration file. */
export const SettingsFile = z.strictObject({
  data: z.string().min(1).optional().describe("data folder"),
  port: z.int().min(0).max(65_535).optional().describe("port of api and registry; 0: any free one"),
  listen: z
    .string()
    .min(1)
    .optional()
    .describe("address to listen on; beyond loopback needs TLS files or --insecure"),
  tls_cert: z
    .string()
    .min(1)
    .optional()
    .describe("PEM file of the certificate to listen with, and of those up to its authority; needs tls_key"),
  tls_key: z.string().min(1).optional().describe("PEM file of its key"),
  threads: positive.max(LIMITS.threadsPerNode).optional().describe("worker threads of this node"),
  node: z.string().optional().describe("name of this node"),
  labels: z.record(z.string(), z.string()).optional().describe("labels of this node"),
  public_name: z
    .string()
    .min(1)
    .optional()
    .describe("host[:port] under which clients reach the registry; part of image_ref"),
  nats: z.string().min(1).optional().describe("URL of an external NATS; absent: an embedded nats-server"),
  nats_port: z
    .int()
    .min(1)
    .max(65_535)
    .optional()
    .describe("port of the embedded nats-server, on loopback; absent: any free one"),
  public_nats: z
    .string()
    .min(1)
    .optional()
    .describe("URL under which subscribers reach the bus; absent: the one that the farm uses"),
  nats_monitor: z
    .string()
    .min(1)
    .optional()
    .describe("monitoring URL of the external NATS, to check its durability"),
  log_level: z.enum(["trace", "debug", "info", "warn", "error"]).optional().describe("log level"),
  webhook_allow_private: z
    .boolean()
    .optional()
    .describe("whether webhooks may use http and call private addresses: for tests; default false"),
  events_keep: z
    .string()
    .regex(/^[1-9][0-9]{0,5}[smhd]$/)
    .optional()
    .describe("how long events can be replayed, such as 90d; default 30d"),
  limits: Limits.optional().describe("limits of one archive"),
  gc_interval: z
    .union([duration, z.literal("off")])
    .optional()
    .describe("how often garbage is collected by itself, such as 1h (the default), or off"),
  gc_grace: duration
    .optional()
    .describe("how long content stays that nothing needs any more, such as 24h (the default) or 0s"),
  store_budget_bytes: positive
    .optional()
    .describe("bytes of the store on disk beyond which what nothing needs goes at once"),
  scrub_rate: z
    .union([positive, z.literal("off")])
    .optional()
    .describe("bytes a second of the background check of the store; 8388608 when absent, or off"),
  scrub_interval: duration
    .optional()
    .describe("how often the background check begins a pass through the store, such as 7d (the default)"),
  oidc_issuers: z
    .array(z.string().min(1).max(500))
    .max(100)
    .optional()
    .describe("issuers that admins of an org may trust; GitHub's and gitlab.com's when absent"),
  snapshots: Snapshots.optional().describe("copies of the pointer's state, below which its log is trimmed"),
});

export type SettingsInput = z.infer<typeof SettingsFile>;

export interface FarmSettings {
  readonly data: string;
  readonly port: number;
  readonly listen: string;
  /** Files of the certificate and the key to listen with; undefined: plain HTTP. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  readonly threads: number;
  readonly node: Name;
  readonly labels: Readonly<Record<string, string>>;
  readonly publicName: string | undefined;
  readonly nats: string | undefined;
  readonly natsPort: number | undefined;
  readonly publicNats: string | undefined;
  readonly natsMonitor: string | undefined;
  readonly logLevel: string;
  readonly webhookAllowPrivate: boolean;
  readonly eventsKeepMs: number;
  readonly limits: ArchiveLimits;
  readonly gc: GcSettings;
  readonly scrub: ScrubSettings;
  readonly oidcIssuers: readonly string[];
  readonly snapshots: { readonly every: number; readonly keep: number };
}

/** When garbage is collected by itself. */
export interface GcSettings {
  /** undefined: never by age. */
  readonly intervalMs: number | undefined;
  /** The undo period: content without a reference stays this long, counted from the run that found it. */
  readonly graceMs: number;
  /** Bytes on disk beyond which what nothing needs goes at once. */
  readonly budgetBytes: number | undefined;
}

/** How the store is checked in the background. */
export interface ScrubSettings {
  /** Bytes a second; undefined: never. */
  readonly rateBytes: number | undefined;
  /** From the begin of a pass to that of the next. */
  readonly intervalMs: number;
}

/** 5 TB in the week that a pass may take; hashing it costs 2 % of a core, and disks hardly notice. */
const SCRUB_RATE_BYTES = 8 * 1024 * 1024;
const SCRUB_INTERVAL = "7d";
const GC_INTERVAL = "1h";
/** A working day: time to publish again what was retired by mistake, without sending it. */
const GC_GRACE = "24h";

/** The pattern of the setting is that of a duration. */
function eventsKeepMs(text = "30d"): number {
  return parseDurationMs(text) ?? 0;
}

const DEFAULT_PORT = 7421;
/** 100,000 commands are some 40 MB of log and a minute of replay; a copy of a state of a million rows costs seconds. */
const DEFAULT_SNAPSHOTS = { every: 100_000, keep: 2 };

/** @throws GranaryError CONFIG_INVALID naming the key */
export function parseSettings(input: unknown, source: string): SettingsInput {
  const parsed = SettingsFile.safeParse(input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.flatMap(({ path, message, ...issue }) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => `${[...path, key].join(".")}: is not known here`)
      : `${path.join(".") || "it"}: ${message}`,
  );
  throw new GranaryError("CONFIG_INVALID", `${source}: ${problems.join("; ")}`, { errors: problems });
}

/**
 * @param cores of this machine: threads = cores, because 3 to 4 threads on 2 cores were slower in every measurement
 * @throws GranaryError CONFIG_INVALID
 */
export function completeSettings(input: SettingsInput, cores: number): FarmSettings {
  const node = input.node ?? "local";
  if (!isName(node)) throw new GranaryError("CONFIG_INVALID", `node: ${JSON.stringify(node)} is not a name`);
  const limits = input.limits ?? {};
  return {
    data: input.data ?? "./.granary",
    port: input.port ?? DEFAULT_PORT,
    listen: input.listen ?? "127.0.0.1",
    tls: completeTls(input),
    threads: input.threads ?? cores,
    node,
    labels: input.labels ?? {},
    publicName: input.public_name,
    nats: input.nats,
    natsPort: input.nats_port,
    publicNats: input.public_nats,
    natsMonitor: input.nats_monitor,
    logLevel: input.log_level ?? "info",
    oidcIssuers: (input.oidc_issuers ?? Object.values(PROVIDER_ISSUERS)).map(checkedIssuer),
    snapshots: {
      every: input.snapshots?.every ?? DEFAULT_SNAPSHOTS.every,
      keep: input.snapshots?.keep ?? DEFAULT_SNAPSHOTS.keep,
    },
    eventsKeepMs: eventsKeepMs(input.events_keep),
    webhookAllowPrivate: input.webhook_allow_private ?? false,
    gc: completeGc(input),
    scrub: completeScrub(input),
    limits: completeLimits(limits),
  };
}

/** @throws GranaryError CONFIG_INVALID */
function completeTls({ tls_cert: cert, tls_key: key }: SettingsInput): FarmSettings["tls"] {
  if (cert === undefined && key === undefined) return undefined;
  if (cert !== undefined && key !== undefined) return { cert, key };
  throw new GranaryError("CONFIG_INVALID", "tls_cert and tls_key: one needs the other");
}

function completeLimits(given: Readonly<Record<string, number | undefined>>): ArchiveLimits {
  const limits = Object.entries(ARCHIVE_LIMITS).map(([name, usual]: [string, number]) => [
    name,
    given[settingName(name)] ?? usual,
  ]);
  return Object.fromEntries(limits) as ArchiveLimits;
}

/** @throws GranaryError CONFIG_INVALID */
function checkedIssuer(issuer: string): string {
  if (isIssuer(issuer, { loopback: true })) return issuer;
  throw new GranaryError(
    "CONFIG_INVALID",
    `oidc_issuers: ${JSON.stringify(issuer)} is no issuer: an https URL without query, or http on loopback`,
  );
}

function completeScrub(input: SettingsInput): ScrubSettings {
  return {
    rateBytes: input.scrub_rate === "off" ? undefined : (input.scrub_rate ?? SCRUB_RATE_BYTES),
    intervalMs: durationMs(input.scrub_interval ?? SCRUB_INTERVAL),
  };
}

function completeGc(input: SettingsInput): GcSettings {
  return {
    intervalMs: input.gc_interval === "off" ? undefined : durationMs(input.gc_interval ?? GC_INTERVAL),
    graceMs: durationMs(input.gc_grace ?? GC_GRACE),
    budgetBytes: input.store_budget_bytes,
  };
}

/** `0s` is none, which no other duration can be. */
function durationMs(text: string): number {
  return text === "0s" ? 0 : (parseDurationMs(text) ?? 0);
}
