import path from "node:path";

/** Where an embedded nats-server keeps its things below a data folder. */
export interface NatsPaths {
  /** The folder of all others, and JetStream's `store_dir`: its data lies in `jetstream/` below it. */
  readonly folder: string;
  readonly config: string;
  readonly pidFile: string;
  readonly portsFolder: string;
  readonly log: string;
  /** What the server says before its log is open: errors of its configuration. */
  readonly startLog: string;
  /** One seed per role, 0600 in a folder of 0700. */
  readonly keys: string;
}

export function natsPaths(dataDir: string): NatsPaths {
  const folder = path.join(path.resolve(dataDir), "nats");
  return {
    folder,
    config: path.join(folder, "nats-server.conf"),
    pidFile: path.join(folder, "nats-server.pid"),
    portsFolder: path.join(folder, "ports"),
    log: path.join(folder, "nats.log"),
    startLog: path.join(folder, "nats-start.log"),
    keys: path.join(folder, "keys"),
  };
}
