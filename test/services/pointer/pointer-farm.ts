import path from "node:path";
import type { TestContext } from "node:test";
import type { Command, CommandBody, CommandValue } from "../../../proto/commands.ts";
import { GranaryError } from "../../../proto/errors.ts";
import { applyCommand } from "../../../services/pointer/apply/apply-command.ts";
import { type Bus, connectBus, type LogEntry } from "../../../services/shared/bus.ts";
import { natsCredentials } from "../../../services/shared/nats-keys.ts";
import type { NatsRole } from "../../../services/shared/nats-permissions.ts";
import { type NatsServer, startNatsServer } from "../../../services/shared/nats-server.ts";
import { type Replica, type ReplicaLog, startReplica } from "../../../services/shared/replica.ts";
import { openStateReader } from "../../../services/shared/state-db.ts";
import { stateDigest } from "../../../services/shared/state-db-digest.ts";
import { newId, type SubmitTarget, submitCommand } from "../../../services/shared/submit-command.ts";
import { MemoryState } from "../../helpers/memory-state.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";
import { waitUntil } from "../../helpers/wait-until.ts";
import { commandOf } from "./machine.ts";

const SILENT = { info: () => undefined, warn: () => undefined };

/** A nats-server with the farm's streams, for tests of what stands between the log and the state. */
export interface PointerFarm {
  readonly dataDir: string;
  readonly server: NatsServer;
  connect(role: NatsRole): Promise<Bus>;
  replica(options?: {
    name?: string;
    relay?: boolean;
    digestEvery?: number;
    log?: ReplicaLog;
  }): Promise<Replica>;
  stateDir(name?: string): string;
}

export async function startPointerFarm(t: TestContext): Promise<PointerFarm> {
  const dataDir = tempFolder();
  const server = await startNatsServer({ dataDir, log: SILENT });
  // What was opened last is closed first: a client without its server would reconnect for ever.
  const closers: (() => Promise<void>)[] = [() => server.close()];
  t.after(async () => {
    for (const close of closers.reverse()) await close();
  });
  const stateDir = (name = "state") => path.join(dataDir, name);
  const options = (role: NatsRole) => ({
    servers: server.url,
    credentials: natsCredentials(dataDir, role),
    name: role,
  });
  return {
    dataDir,
    server,
    stateDir,
    async connect(role) {
      const bus = await connectBus(options(role));
      closers.push(() => bus.close());
      return bus;
    },
    async replica({ name, relay = true, ...more } = {}) {
      const replica = await startReplica({
        dir: stateDir(name),
        bus: options("pointer"),
        relay,
        log: SILENT,
        ...more,
      });
      closers.push(() => replica.close());
      return replica;
    },
  };
}

export function freshCommand(body: CommandBody, options: Partial<Command> = {}): Command {
  return commandOf(body, { id: newId("cmd"), ...options });
}

/** {@link submitCommand}, with a refusal thrown. */
export async function submitOrThrow(
  target: SubmitTarget,
  command: Command,
): Promise<{ readonly seq: number; readonly value: CommandValue }> {
  const result = await submitCommand(target, command);
  if (!result.ok) throw GranaryError.fromWire(result.error);
  return result;
}

/** The whole log, as it is stored. */
export async function readLog(bus: Bus): Promise<LogEntry[]> {
  const { lastSeq } = await bus.logInfo();
  const log: LogEntry[] = [];
  const following = bus.consumeCommands({
    fromSeq: 0,
    onBatch: (batch) => log.push(...batch),
    onEnd: () => undefined,
  });
  await waitUntil("the log is read", 20_000, () => log.length >= lastSeq);
  await following.close();
  return log;
}

/** The state that a clean replay of the log gives. */
export async function cleanReplay(bus: Bus): Promise<MemoryState> {
  const state = new MemoryState();
  for (const { seq, timeMs, command } of await readLog(bus)) applyCommand(state, command, { seq, timeMs });
  return state;
}

export async function digestOnDisk(dir: string): Promise<string> {
  const reader = openStateReader(dir);
  const digest = stateDigest(reader.rows());
  await reader.close();
  return digest;
}

/** Cursors of the event stream in stream order, until it has `count` of them. */
export async function relayedCursors(bus: Bus, count: number): Promise<string[]> {
  const cursors: string[] = [];
  const following = bus.consumeEvents({
    fromSeq: 0,
    onBatch: (batch) => {
      for (const { data } of batch) {
        const event = JSON.parse(Buffer.from(data).toString("utf8")) as { granarycursor: string };
        cursors.push(event.granarycursor);
      }
    },
    onEnd: () => undefined,
  });
  await waitUntil(`${count} events are relayed`, 20_000, () => cursors.length >= count);
  await following.close();
  return cursors;
}
