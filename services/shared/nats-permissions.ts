import { STREAMS, SUBJECTS } from "../../proto/subjects.ts";

/**
 * What each role may do on the bus, enforced by nats-server from the first day, also on loopback. `allow` lists are
 * complete: what is not in them is denied. Nobody but `admin` may delete or purge a stream.
 */
export const NATS_ROLES = ["api", "node", "pointer", "hooks", "admin"] as const;
export type NatsRole = (typeof NATS_ROLES)[number];

/** Subjects of one user, as nats-server's `permissions` block takes them; undefined: everything. */
export interface NatsPermissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
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
  return {
    publish: [...PUBLISH_BY_ALL, ...PUBLISH_BY_ROLE[role]],
    subscribe: [`${inboxPrefixOf(role)}.>`],
  };
}

/** Every process that serves a role applies the command log and may follow the events and look at the queues. */
const PUBLISH_BY_ALL = [
  "$JS.API.INFO",
  "$JS.API.STREAM.NAMES",
  "$JS.API.STREAM.LIST",
  ...Object.values(STREAMS).map((stream) => `$JS.API.STREAM.INFO.${stream}`),
  ...LOGS.flatMap(readStream),
];

const PUBLISH_BY_ROLE: Readonly<Record<Exclude<NatsRole, "admin">, readonly string[]>> = {
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
