import { NATS_ACCOUNTS, STREAMS, SUBJECTS } from "../../proto/subjects.ts";

/**
 * What each role may do on the bus, enforced by nats-server from the first day, also on loopback. `allow` lists are
 * complete: what is not in them is denied. Nobody but `admin` may delete or purge a stream. `gate` is no role of a process: the
 * api answers with it who may subscribe, from the system account, where it sees no message of the farm.
 */
export const NATS_ROLES = ["api", "node", "pointer", "hooks", "admin", "gate"] as const;
export type NatsRole = (typeof NATS_ROLES)[number];

/** Subjects of one user, as nats-server's `permissions` block takes them; undefined: everything. */
export interface NatsPermissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** Whether requests that reach the user may be answered, wherever they want the answer. */
  readonly answer?: true;
}

const LOGS = [STREAMS.commands, STREAMS.events, STREAMS.digests];
const JOBS = [STREAMS.publishJobs];

/**
 * A prefix of its own keeps a role from reading the replies to another.
 * @returns for `connect({inboxPrefix})`, without the trailing dot
 */
export function inboxPrefixOf(role: NatsRole): string {
  return `_INBOX_${role}`;
}

/** The permissions of a role; undefined for `admin`, which may do everything in the farm's account. */
export function natsPermissions(role: NatsRole): NatsPermissions | undefined {
  if (role === "admin") return undefined;
  if (role === "gate") return GATE;
  return {
    publish: [...PUBLISH_BY_ALL, ...PUBLISH_BY_ROLE[role]],
    subscribe: [`${inboxPrefixOf(role)}.>`],
  };
}

/** The account that a role's user is in. */
export function natsAccountOf(role: NatsRole): string {
  return role === "gate" ? NATS_ACCOUNTS.system : NATS_ACCOUNTS.farm;
}

/** Subjects of the server's own services that `gate` uses (https://docs.nats.io/running-a-nats-service/configuration/sys_accounts). */
export const GATE_SUBJECTS = {
  logins: "$SYS.REQ.USER.AUTH",
  opened: `$SYS.ACCOUNT.${NATS_ACCOUNTS.subscribers}.CONNECT`,
  closed: `$SYS.ACCOUNT.${NATS_ACCOUNTS.subscribers}.DISCONNECT`,
  connections: `$SYS.REQ.ACCOUNT.${NATS_ACCOUNTS.subscribers}.CONNZ`,
  kick: (serverId: string) => `$SYS.REQ.SERVER.${serverId}.KICK`,
} as const;

const GATE: NatsPermissions = {
  publish: [GATE_SUBJECTS.connections, GATE_SUBJECTS.kick("*")],
  subscribe: [`${inboxPrefixOf("gate")}.>`, GATE_SUBJECTS.logins, GATE_SUBJECTS.opened, GATE_SUBJECTS.closed],
  answer: true,
};

/** Every process that serves a role applies the command log and may follow the events and look at the queues. */
const PUBLISH_BY_ALL = [
  "$JS.API.INFO",
  "$JS.API.STREAM.NAMES",
  "$JS.API.STREAM.LIST",
  ...Object.values(STREAMS).map((stream) => `$JS.API.STREAM.INFO.${stream}`),
  ...LOGS.flatMap(readStream),
];

const PUBLISH_BY_ROLE: Readonly<Record<Exclude<NatsRole, "admin" | "gate">, readonly string[]>> = {
  api: [SUBJECTS.allCommands, SUBJECTS.allDigests, ...readStream(STREAMS.deliveries)],
  hooks: [
    SUBJECTS.allCommands,
    SUBJECTS.allDigests,
    `${SUBJECTS.hooks}.>`,
    `${SUBJECTS.deliveries}.>`,
    ...readStream(STREAMS.hooks),
  ],
  node: [SUBJECTS.allCommands, ...JOBS.flatMap(takeJobs)],
  pointer: [
    SUBJECTS.allCommands,
    SUBJECTS.allPublishJobs,
    SUBJECTS.allEvents,
    SUBJECTS.allDigests,
    ...Object.values(STREAMS).flatMap((stream) => [
      `$JS.API.STREAM.CREATE.${stream}`,
      `$JS.API.STREAM.UPDATE.${stream}`,
    ]),
  ],
};

/** Ordered consumers: created, replaced and removed by the client; single messages by sequence. */
function readStream(stream: string): string[] {
  return [
    `$JS.API.CONSUMER.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.DELETE.${stream}.>`,
    `$JS.API.CONSUMER.INFO.${stream}.>`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.>`,
    `$JS.API.STREAM.MSG.GET.${stream}`,
    `$JS.API.DIRECT.GET.${stream}`,
    `$JS.API.DIRECT.GET.${stream}.>`,
  ];
}

/** Consumers per (capability, lane, org), pulls from them, and acks in the subject's first and second form. */
function takeJobs(stream: string): string[] {
  return [
    `$JS.API.CONSUMER.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.INFO.${stream}.>`,
    `$JS.API.CONSUMER.NAMES.${stream}`,
    `$JS.API.CONSUMER.LIST.${stream}`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.>`,
    `$JS.ACK.${stream}.>`,
    `$JS.ACK.*.*.${stream}.>`,
  ];
}
