import { randomUUID } from "node:crypto";
import { closeSync, existsSync, openSync, writeSync } from "node:fs";
import path from "node:path";
import { GranaryError } from "../../proto/errors.ts";
import { type Bus, connectBus, type LogInfo } from "./bus.ts";
import { natsCredentials } from "./nats-keys.ts";
import { type NatsServerLog, startNatsServer } from "./nats-server.ts";
import { adoptReseed, LOCAL_EPOCH, markReseed } from "./reseed-mark.ts";
import { restoreMissingState } from "./snapshots.ts";
import { DATA_FILE, openStateWriter, type StateWriter } from "./state-db.ts";
import { probeState } from "./state-db-probe.ts";
import { KEYS } from "./state-keys.ts";
import { syncFile } from "./sync-file.ts";

export interface ReseedResult {
  /** Whether log and state do not fit. */
  readonly needed: boolean;
  readonly reseeded: boolean;
  /** The last command that the state has: the new log begins behind it. */
  readonly applied_seq: number;
  readonly log: { readonly first_seq: number; readonly last_seq: number };
  /** Commands of the log that this state never applied: they have no effect, and go to `file`. */
  readonly set_aside: number;
  readonly file?: string;
}

/**
 * Lets a state go on when its log was lost: begins a new log behind the last applied command. The caller holds the data
 * folder's lock. What is in the log and not in the state is written to a file first, one JSON command a line.
 * @param options.confirmed without it nothing is changed, and the answer says what would be
 * @throws GranaryError NOT_FOUND without a state, STATE_BEHIND when the state is merely too old for its log
 */
export async function reseedLog(options: {
  dataDir: string;
  /** An external NATS; absent: the data folder's own server. */
  natsUrl: string | undefined;
  confirmed: boolean;
  log: NatsServerLog;
}): Promise<ReseedResult> {
  const { dataDir, natsUrl } = options;
  const dir = path.join(dataDir, "state");
  await restoreMissingState(dir, path.join(dataDir, "snapshots"));
  if (!existsSync(path.join(dir, DATA_FILE)))
    throw new GranaryError("NOT_FOUND", `${dataDir} has neither a state nor a snapshot of one`);
  await probeState(dir);
  const server = natsUrl === undefined ? await startNatsServer({ dataDir, log: options.log }) : undefined;
  const writer = openStateWriter(dir);
  try {
    const credentials = natsCredentials(dataDir, "admin");
    const bus = await connectBus({ servers: natsUrl ?? server?.url ?? "", credentials, name: "reseed" });
    try {
      return await reseed({ ...options, writer, bus });
    } finally {
      await bus.close();
    }
  } finally {
    await writer.close();
    await server?.close();
  }
}

async function reseed(options: {
  dataDir: string;
  confirmed: boolean;
  writer: StateWriter;
  bus: Bus;
}): Promise<ReseedResult> {
  const { dataDir, confirmed, writer, bus } = options;
  // Where the log is gone altogether this makes an empty one, which goes again below.
  await bus.ensureStreams();
  const log = await bus.logInfo();
  const seq = writer.read((view) => view.get(KEYS.meta()))?.seq ?? 0;
  const same = writer.readLocal(LOCAL_EPOCH) === log.epoch;
  const answer = {
    applied_seq: seq,
    log: { first_seq: log.firstSeq, last_seq: log.lastSeq },
    set_aside: same ? 0 : log.commands,
  };
  if (same && log.lastSeq > seq && log.firstSeq > seq + 1) {
    const message = `the state ends at ${seq}, and its log goes on from ${log.firstSeq}: a newer snapshot continues it`;
    throw new GranaryError("STATE_BEHIND", message, answer.log);
  }
  if (same && log.lastSeq >= seq) return { needed: false, reseeded: false, ...answer, set_aside: 0 };
  if (!confirmed) return { needed: true, reseeded: false, ...answer };

  const file = path.join(dataDir, `log-set-aside-${log.epoch}.jsonl`);
  if (answer.set_aside > 0) await setAside(bus, log, file);
  // From here on only the new log is accepted: dying before it is there leaves the state waiting for it.
  const seed = markReseed(writer, randomUUID());
  await bus.deleteLog();
  await bus.ensureStreams({ log: seed });
  adoptReseed(writer, seed.epoch);
  return { needed: true, reseeded: true, ...answer, ...(answer.set_aside > 0 && { file }) };
}

async function setAside(bus: Bus, log: LogInfo, file: string): Promise<void> {
  const handle = openSync(file, "w", 0o600);
  try {
    await new Promise<void>((resolve, reject) => {
      const following = bus.consumeCommands({
        fromSeq: log.firstSeq - 1,
        onBatch: (batch) => {
          for (const entry of batch) writeSync(handle, `${JSON.stringify(entry)}\n`);
          if ((batch.at(-1)?.seq ?? 0) >= log.lastSeq) void following.close().then(resolve);
        },
        onEnd: reject,
      });
    });
  } finally {
    closeSync(handle);
  }
  syncFile(file);
}
