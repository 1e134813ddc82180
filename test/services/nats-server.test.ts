import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection, nkeyAuthenticator } from "@nats-io/transport-node";
import { NATS_ACCOUNTS, STREAMS, SUBJECTS } from "../../proto/subjects.ts";
import { createLog } from "../../services/shared/log.ts";
import { findNatsBinary } from "../../services/shared/nats-binary.ts";
import { natsCredentials } from "../../services/shared/nats-keys.ts";
import { assertNatsFit, natsHealth } from "../../services/shared/nats-monitor.ts";
import { natsPaths } from "../../services/shared/nats-paths.ts";
import type { NatsRole } from "../../services/shared/nats-permissions.ts";
import { type NatsServer, startNatsServer } from "../../services/shared/nats-server.ts";
import { processCommandLine, processIdentity } from "../../services/shared/process-identity.ts";
import { tempFolder } from "../helpers/temp-folder.ts";
import { waitUntil } from "../helpers/wait-until.ts";

test("an embedded server is on loopback, durable and private to its data folder", async (t) => {
  const { server, dataDir } = await startServer(t);
  assert.match(server.url, /^nats:\/\/127\.0\.0\.1:\d+$/);
  assert.equal(await assertNatsFit(server.monitorUrl), server.version);
  const keys = natsPaths(dataDir).keys;
  assert.equal(statSync(keys).mode & 0o777, 0o700);
  assert.deepEqual(readdirSync(keys).sort(), [
    "admin.nk",
    "api.nk",
    "gate.nk",
    "hooks.nk",
    "issuer.nk",
    "node.nk",
    "pointer.nk",
  ]);
  for (const name of readdirSync(keys)) assert.equal(statSync(path.join(keys, name)).mode & 0o777, 0o600);
  await assert.rejects(connect({ servers: server.url, reconnect: false }), /authorization/i);
  const pid = server.pid;
  await Promise.all([server.close(), server.close()]);
  assert.equal(processIdentity(pid), undefined);
  assert.equal(server.state, "down");
});

test("a server that was killed comes back on the same ports with what it had acknowledged", async (t) => {
  const reasons: string[] = [];
  const { server, dataDir } = await startServer(t, (reason) => reasons.push(reason));
  await createStreams(t, server, dataDir);
  const api = await connectAs(t, server, dataDir, "api");
  await jetstream(api).publish("granary.commands.acme._", "kept");

  const { url, monitorUrl, pid } = server;
  const states: string[] = [];
  const forget = server.onState((state) => states.push(state));
  process.kill(pid, "SIGKILL");
  await waitUntil("the server is down", 2_000, () => server.state === "down");
  await waitUntil("the server is up again", 10_000, () => server.state === "up");
  assert.deepEqual(states, ["down", "up"]);
  assert.deepEqual(reasons, ["SIGKILL"]);
  assert.notEqual(server.pid, pid);
  assert.deepEqual([server.url, server.monitorUrl], [url, monitorUrl]);
  const admin = await connectAs(t, server, dataDir, "admin");
  const stored = await (await jetstreamManager(admin)).streams.getMessage(STREAMS.commands, { seq: 1 });
  assert.equal(stored?.string(), "kept");

  forget();
  process.kill(server.pid, "SIGKILL");
  await waitUntil("the server is down", 2_000, () => server.state === "down");
  await server.close();
  assert.equal(await natsHealth(monitorUrl), "", "closing ends a restart that is under way");
  assert.deepEqual(states, ["down", "up"], "a removed listener hears nothing more");
});

test("what was acknowledged is there after a restart of the farm", async (t) => {
  const dataDir = tempFolder();
  const first = await startServer(t, undefined, dataDir);
  await createStreams(t, first.server, dataDir);
  const seed = natsCredentials(dataDir, "pointer").seed;
  await first.server.close();
  const second = await startServer(t, undefined, dataDir);
  assert.deepEqual(natsCredentials(dataDir, "pointer").seed, seed);
  const pointer = await connectAs(t, second.server, dataDir, "pointer");
  const info = await (await jetstreamManager(pointer)).streams.info(STREAMS.commands);
  assert.equal(info.config.name, STREAMS.commands);
});

/** Finding the guard needs a list of all processes with their command lines. */
const NEEDS_PROC = { skip: process.platform === "linux" ? false : "needs /proc" };

test("no server outlives a farm that was killed", async (t) => {
  const { holder, serverPid } = await startHolder(t, tempFolder());
  t.after(() => endIfThere(serverPid));
  holder.kill("SIGKILL");
  const goneMs = await waitUntil("the server is gone", 5_000, () => processIdentity(serverPid) === undefined);
  assert.ok(goneMs < 2_000, `it took ${goneMs} ms`);
});

test("the guard comes back when it was killed alone", NEEDS_PROC, async (t) => {
  const { holder, serverPid } = await startHolder(t, tempFolder());
  t.after(() => endIfThere(serverPid));
  const first = guardOf(serverPid);
  process.kill(first, "SIGKILL");
  await waitUntil("there is a new guard", 10_000, () => guards(serverPid).some((pid) => pid !== first));
  holder.kill("SIGKILL");
  await waitUntil("the server is gone", 5_000, () => processIdentity(serverPid) === undefined);
});

test("a server that outlived its farm and guard is ended by the next farm", NEEDS_PROC, async (t) => {
  const dataDir = tempFolder();
  const { holder, serverPid } = await startHolder(t, dataDir);
  t.after(() => endIfThere(serverPid));
  process.kill(guardOf(serverPid), "SIGKILL");
  holder.kill("SIGKILL");
  await once(holder, "exit");
  assert.notEqual(processIdentity(serverPid), undefined, "the orphan runs");
  const { server } = await startServer(t, undefined, dataDir);
  assert.equal(processIdentity(serverPid), undefined);
  assert.equal(server.state, "up");
});

test("a stale pid file that names another process does that no harm", async (t) => {
  const dataDir = tempFolder();
  const innocent = spawn("/bin/sleep", ["60"], { stdio: "ignore" });
  t.after(() => innocent.kill("SIGKILL"));
  mkdirSync(natsPaths(dataDir).folder);
  writeFileSync(natsPaths(dataDir).pidFile, String(innocent.pid));
  await startServer(t, undefined, dataDir);
  assert.equal(innocent.exitCode ?? innocent.signalCode, null);
});

test("a stream that cannot be read is set aside when it is made from the state, and refused by name when it is the log", async (t) => {
  const dataDir = tempFolder();
  const first = await startServer(t, undefined, dataDir);
  await createStreams(t, first.server, dataDir);
  await first.server.close();
  const { folder } = natsPaths(realpathSync(dataDir));
  const stream = (name: string): string =>
    path.join(folder, "jetstream", NATS_ACCOUNTS.farm, "streams", name);
  // As a power cut leaves it that comes before the kernel has written what nobody synced.
  for (const name of [STREAMS.events, STREAMS.publishJobs])
    writeFileSync(path.join(stream(name), "meta.sum"), "");
  const second = await startServer(t, undefined, dataDir);
  assert.deepEqual(
    readdirSync(folder)
      .filter((name) => name.endsWith(".damaged"))
      .sort(),
    [`${STREAMS.events}.damaged`, `${STREAMS.publishJobs}.damaged`],
  );
  await createStreams(t, second.server, dataDir);
  await second.server.close();
  writeFileSync(path.join(stream(STREAMS.commands), "meta.sum"), "");
  await assert.rejects(startServer(t, undefined, dataDir), {
    code: "STATE_BEHIND",
    message: /GRANARY_COMMANDS/,
  });
  assert.ok(existsSync(stream(STREAMS.commands)), "what nothing else tells of stays where it is");
});

test("a server that does not fsync before it acknowledges is refused", async (t) => {
  const folder = tempFolder();
  const config = path.join(folder, "lax.conf");
  const settings = `host: 127.0.0.1\nport: -1\nhttp: "127.0.0.1:-1"\nports_file_dir: ${JSON.stringify(folder)}`;
  writeFileSync(config, `${settings}\njetstream { store_dir: ${JSON.stringify(folder)} }\n`);
  const { path: binary } = await findNatsBinary(process.env);
  const lax = spawn(binary, ["--config", config], { stdio: "ignore" });
  t.after(() => endChild(lax));
  const ports = () => {
    const name = readdirSync(folder).find((found) => found.endsWith(`_${lax.pid}.ports`));
    return name === undefined ? "" : readFileSync(path.join(folder, name), "utf8").trimEnd();
  };
  // The file is there before it is written.
  await waitUntil("its ports are known", 5_000, () => ports().endsWith("}"));
  const monitorUrl = JSON.parse(ports()).monitoring[0];
  await waitUntil("it is healthy", 5_000, async () => (await natsHealth(monitorUrl)) === "ok");
  await assert.rejects(assertNatsFit(monitorUrl), { code: "NATS_UNFIT", message: /sync_interval/ });
});

test("a server that is too old, or none at all, is refused with what to do", async () => {
  const folder = tempFolder();
  const old = path.join(folder, "nats-server");
  writeFileSync(old, "#!/bin/sh\necho 'nats-server: v2.9.10'\n");
  chmodSync(old, 0o755);
  const options = { dataDir: path.join(folder, "data"), log: createLog({ level: "silent", name: "test" }) };
  const unfit = { code: "NATS_UNFIT", detail: { file: old, version: "2.9.10", minimum: "2.12" } };
  await assert.rejects(startNatsServer({ ...options, binary: old }), unfit);
  await assert.rejects(findNatsBinary({ NATS_SERVER_BIN: old }), unfit);
  const env = { PATH: folder, GRANARY_CACHE: path.join(folder, "cache") };
  await assert.rejects(findNatsBinary(env), { code: "NATS_MISSING" });
});

test("each role may do its work on the bus and nothing else", async (t) => {
  const { server, dataDir } = await startServer(t);
  await createStreams(t, server, dataDir);
  const as = async (role: NatsRole) => {
    const connection = await connectAs(t, server, dataDir, role);
    const manager = await jetstreamManager(connection);
    return { connection, stream: jetstream(connection), manager };
  };
  const [api, node, pointer, admin] = await Promise.all([as("api"), as("node"), as("pointer"), as("admin")]);
  const denied = /permissions violation/i;

  for (const role of [api, node, pointer]) {
    await role.stream.publish("granary.commands.acme._", "command");
    const reader = await role.stream.consumers.get(STREAMS.commands, {});
    assert.equal((await reader.next({ expires: 2_000 }))?.seq, 1);
    assert.equal((await role.manager.streams.info(STREAMS.publishJobs)).config.name, STREAMS.publishJobs);
    for (const stream of [STREAMS.commands, STREAMS.publishJobs]) {
      await assert.rejects(role.manager.streams.delete(stream), denied);
      await assert.rejects(role.manager.streams.purge(stream), denied);
    }
  }

  const job = "granary.jobs.publish.prod.acme";
  for (const role of [api, node]) {
    await assert.rejects(role.stream.publish(job, "{}"), denied);
    await assert.rejects(role.stream.publish("granary.events.acme.bot.x", "{}"), denied);
    const wider = role.manager.streams.update(STREAMS.commands, {
      subjects: [SUBJECTS.allCommands, "other"],
    });
    await assert.rejects(wider, denied);
  }
  await pointer.stream.publish(job, "{}");
  await pointer.stream.publish("granary.events.acme.bot.x", "{}");
  const consumer = {
    durable_name: "publish_prod_acme",
    ack_policy: "explicit",
    filter_subject: job,
  } as const;
  await assert.rejects(api.manager.consumers.add(STREAMS.publishJobs, consumer), denied);
  await node.manager.consumers.add(STREAMS.publishJobs, consumer);
  const message = await (await node.stream.consumers.get(STREAMS.publishJobs, "publish_prod_acme")).next();
  assert.equal(await message?.ackAck(), true);

  const foreign = new Promise((resolve) => {
    node.connection.subscribe("_INBOX_api.>", { callback: (error) => resolve(error?.message) });
  });
  assert.match(String(await foreign), denied, "no role reads the replies to another");
  assert.equal(await admin.manager.streams.delete(STREAMS.events), true);
});

async function startServer(
  t: TestContext,
  onDown?: (reason: string) => void,
  dataDir = tempFolder(),
): Promise<{ server: NatsServer; dataDir: string }> {
  const log = createLog({ level: "silent", name: "test" });
  const server = await startNatsServer({ dataDir, log, ...(onDown ? { onDown } : {}) });
  t.after(() => server.close());
  return { server, dataDir };
}

async function connectAs(
  t: TestContext,
  server: NatsServer,
  dataDir: string,
  role: NatsRole,
): Promise<NatsConnection> {
  const { seed, inboxPrefix } = natsCredentials(dataDir, role);
  const connection = await connect({
    servers: server.url,
    authenticator: nkeyAuthenticator(seed),
    inboxPrefix,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
  });
  t.after(() => connection.close());
  return connection;
}

async function createStreams(t: TestContext, server: NatsServer, dataDir: string): Promise<void> {
  const { streams } = await jetstreamManager(await connectAs(t, server, dataDir, "pointer"));
  await streams.add({ name: STREAMS.commands, subjects: [SUBJECTS.allCommands] });
  await streams.add({ name: STREAMS.events, subjects: [SUBJECTS.allEvents] });
  await streams.add({
    name: STREAMS.publishJobs,
    subjects: [SUBJECTS.allPublishJobs],
    retention: "workqueue",
  });
}

/** A farm in a process of its own, which can be killed. */
async function startHolder(
  t: TestContext,
  dataDir: string,
): Promise<{ holder: ChildProcess; serverPid: number }> {
  const main = fileURLToPath(new URL("../helpers/nats-holder-main.js", import.meta.url));
  const holder = spawn(process.execPath, [main, dataDir], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => endChild(holder));
  const [line] = await once(holder.stdout, "data");
  return { holder, serverPid: Number(line) };
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

function endIfThere(pid: number): void {
  if (processCommandLine(pid)?.includes("nats-server")) process.kill(pid, "SIGKILL");
}

function guardOf(serverPid: number): number {
  const [pid] = guards(serverPid);
  assert.ok(pid, "the server has a guard");
  return pid;
}

function guards(serverPid: number): number[] {
  const pids = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  return pids.filter((pid) => processCommandLine(pid)?.includes(`granary-guard ${serverPid} `));
}
