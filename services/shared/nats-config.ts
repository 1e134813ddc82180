import { LIMITS } from "../../proto/limits.ts";
import { NATS_ACCOUNTS, SUBJECTS } from "../../proto/subjects.ts";
import type { NatsPaths } from "./nats-paths.ts";
import { inboxPrefixOf, type NatsRole, natsAccountOf, natsPermissions } from "./nats-permissions.ts";

/** The ports an embedded server listens on, both on loopback; -1 lets the system choose. */
export interface NatsPorts {
  readonly client: number;
  readonly monitor: number;
}

/**
 * The configuration of an embedded server (https://docs.nats.io/running-a-nats-service/configuration). JetStream fsyncs
 * before it acknowledges; jobs and commands carry digests, so a message is small; the monitor port has no
 * authentication and stays on loopback.
 * @param keys the public nkey of each role, and of whoever admits subscribers
 */
export function natsConfig(
  paths: NatsPaths,
  ports: NatsPorts,
  keys: { readonly users: ReadonlyMap<NatsRole, string>; readonly issuer: string },
): string {
  const text = JSON.stringify;
  return `# Written by granary at every start; changes are lost.
server_name: granary
host: 127.0.0.1
port: ${ports.client}
http: "127.0.0.1:${ports.monitor}"
ports_file_dir: ${text(paths.portsFolder)}
max_payload: 256KB
max_connections: 4096
write_deadline: 10s
# A subscriber that reads slowly is cut off; it does not hold up whoever publishes.
no_fast_producer_stall: true
log_file: ${text(paths.log)}
logfile_size_limit: 16MB
logfile_max_num: 4
jetstream {
  store_dir: ${text(paths.folder)}
  max_mem: 256MB
  sync_interval: always
}
${natsAccounts(keys)}`;
}

/**
 * Who may connect, and for what; the same for a server that the farm does not run (docs/operate.md). Users with an nkey are checked by
 * the server alone; everybody else is asked about (auth callout), and gets into an account that imports the events and has nothing else.
 */
function natsAccounts({ users, issuer }: Parameters<typeof natsConfig>[2]): string {
  const { farm, subscribers, system } = NATS_ACCOUNTS;
  const usersOf = (account: string) =>
    [...users]
      .filter(([role]) => natsAccountOf(role) === account)
      .map(([role, nkey]) => `      ${user(role, nkey)}`)
      .join("\n");
  return `accounts {
  ${system} {
    users: [
${usersOf(system)}
    ]
  }
  ${farm} {
    jetstream: enabled
    users: [
${usersOf(farm)}
    ]
    exports: [ { stream: "${SUBJECTS.allEvents}", accounts: [ ${subscribers} ] } ]
  }
  ${subscribers} {
    imports: [ { stream: { account: ${farm}, subject: "${SUBJECTS.allEvents}" } } ]
    limits {
      max_connections: ${LIMITS.busConnections}
      max_subscriptions: ${LIMITS.busSubscriptions}
      max_payload: ${LIMITS.busMessageBytes}
    }
  }
}
system_account: ${system}
authorization {
  auth_callout {
    issuer: ${issuer}
    account: ${system}
    auth_users: ${JSON.stringify([...users.values()])}
  }
}
`;
}

function user(role: NatsRole, nkey: string): string {
  const permissions = natsPermissions(role);
  if (!permissions) return `{ nkey: ${nkey} } # ${role}, inbox ${inboxPrefixOf(role)}`;
  const publish = JSON.stringify(permissions.publish);
  const subscribe = JSON.stringify(permissions.subscribe);
  const answer = permissions.answer ? ", allow_responses: true" : "";
  return `{ nkey: ${nkey}, permissions: { publish: { allow: ${publish} }, subscribe: { allow: ${subscribe} }${answer} } } # ${role}`;
}
