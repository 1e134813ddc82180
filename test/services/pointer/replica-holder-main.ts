/** A process that runs a relaying replica (arguments: data folder, server URL, state folder) until it is killed. */
import { natsCredentials } from "../../../services/shared/nats-keys.ts";
import { startReplica } from "../../../services/shared/replica.ts";

const [dataDir = "", servers = "", dir = ""] = process.argv.slice(2);
const log = { info: () => undefined, warn: () => undefined };
const bus = { servers, credentials: natsCredentials(dataDir, "pointer"), name: "pointer" };
const replica = await startReplica({ dir, bus, relay: true, log });
replica.onApplied(({ seq }) => {
  process.stdout.write(`${seq}\n`);
});
