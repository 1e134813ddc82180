import type { NatsPaths } from "./nats-paths.ts";
import { inboxPrefixOf, type NatsRole, natsPermissions } from "./nats-permissions.ts";

/** The ports an embedded server listens on, both on loopback; -1 lets the system choose. */
export interface NatsPorts {
  readonly client: number;
  readonly monitor: number;
}

/**
 * The configuration of an embedded server (https://docs.nats.io/running-a-nats-service/configuration). JetStream fsyncs
 * before it acknowledges; jobs and commands carry digests, so a message is small; the monitor port has no
 * authentication and stays on loopback.
 * @param users the public nkey of each role
 */
export function natsConfig(paths: NatsPaths, ports: NatsPorts, users: ReadonlyMap<NatsRole, string>): string {
  const text = JSON.stringify;
  const userLines = [...users].map(([role, nkey]) => `      ${user(role, nkey)}`);
  return `# Written by granary at every start; changes are lost.
server_name: granary
host: 127.0.0.1
port: ${ports.client}
http: "127.0.0.1:${ports.monitor}"
ports_file_dir: ${text(paths.portsFolder)}
max_payload: 256KB
max_connections: 4096
write_deadline: 10s
log_file: ${text(paths.log)}
logfile_size_limit: 16MB
logfile_max_num: 4
jetstream {
  store_dir: ${text(paths.folder)}
  max_mem: 256MB
  sync_interval: always
}
accounts {
  SYS {}
  FARM {
    jetstream: enabled
    users: [
${userLines.join("\n")}
    ]
  }
}
system_account: SYS
`;
}

function user(role: NatsRole, nkey: string): string {
  const permissions = natsPermissions(role);
  if (!permissions) return `{ nkey: ${nkey} } # ${role}, inbox ${inboxPrefixOf(role)}`;
  const publish = JSON.stringify(permissions.publish);
  const subscribe = JSON.stringify(permissions.subscribe);
  return `{ nkey: ${nkey}, permissions: { publish: { allow: ${publish} }, subscribe: { allow: ${subscribe} } } } # ${role}`;
}
