import { parentPort, workerData } from "node:worker_threads";
import { GranaryError } from "../../proto/errors.ts";
import type { ReplicaMessage, ReplicaOrder, ReplicaThreadData } from "../shared/replica-messages.ts";
import { runReplica } from "./run-replica.ts";

/** The thread of a replica: LMDB commits and their fsyncs happen here, never on an event loop that serves HTTP. */
const port = parentPort;
if (port === null) throw new Error("replica-main runs as a worker thread");

const post = (message: ReplicaMessage): void => port.postMessage(message);
const abort = new AbortController();
port.on("message", (order: ReplicaOrder) => {
  if (order.type === "close") abort.abort();
});

const halt = (error: unknown): void => {
  const wire = error instanceof GranaryError ? error : new GranaryError("INTERNAL", String(error));
  post({ type: "halted", error: wire.toWire() });
};
// Of timers: an error event of the thread would lose its code.
process.once("uncaughtException", (error) => {
  halt(error);
  process.exit(1);
});

try {
  await runReplica(workerData as ReplicaThreadData, { post, signal: abort.signal, now: Date.now });
} catch (error) {
  halt(error);
}
port.close();
