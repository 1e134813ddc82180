/** A process that runs an embedded nats-server on the data folder in its argument, prints its pid, and stays. */
import { createLog } from "../../services/shared/log.ts";
import { startNatsServer } from "../../services/shared/nats-server.ts";

const [dataDir = ""] = process.argv.slice(2);
const server = await startNatsServer({ dataDir, log: createLog({ level: "silent", name: "test" }) });
process.stdout.write(`${server.pid}\n`);
