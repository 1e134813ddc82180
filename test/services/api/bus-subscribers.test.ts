import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection, nkeyAuthenticator } from "@nats-io/transport-node";
import { LIMITS } from "../../../proto/limits.ts";
import { parseName } from "../../../proto/names.ts";
import type { Scope, TokenRecord } from "../../../proto/records.ts";
import { STREAMS, SUBJECTS } from "../../../proto/subjects.ts";
import { BusSubscribers } from "../../../services/api/bus-subscribers.ts";
import { mintToken } from "../../../services/api/mint-token.ts";
import { type BusGate, openBusGate } from "../../../services/shared/bus-gate.ts";
import { createLog } from "../../../services/shared/log.ts";
import { natsCredentials, natsIssuer } from "../../../services/shared/nats-keys.ts";
import { natsPaths } from "../../../services/shared/nats-paths.ts";
import type { NatsRole } from "../../../services/shared/nats-permissions.ts";
import { type NatsServer, startNatsServer } from "../../../services/shared/nats-server.ts";
import { KEYS } from "../../../services/shared/state-keys.ts";
import { MemoryState } from "../../helpers/memory-state.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";
import { waitUntil } from "../../helpers/wait-until.ts";

/** Subscribers against a real nats-server, with a state that the test writes: who gets in, hears what, can do what, until when. */
const dataDir = tempFolder();
const state = new MemoryState();
const LOG = createLog({ level: "silent", name: "test" });
let server: NatsServer;
let keeper: BusSubscribers;
let pointer: NatsConnection;

before(async () => {
  server = await startNatsServer({ dataDir, log: LOG });
  pointer = await connectAs("pointer");
  const { streams } = await jetstreamManager(pointer);
  await streams.add({ name: STREAMS.events, subjects: [SUBJECTS.allEvents] });
  await streams.add({ name: STREAMS.commands, subjects: [SUBJECTS.allCommands] });
  keeper = await startKeeper().ready();
});
after(async () => {
  await keeper.close();
  await pointer.close();
  await server.close();
});

/** What an api runs. */
function startKeeper(options: { healthy?: () => boolean; wrap?: (gate: BusGate) => BusGate } = {}) {
  return new BusSubscribers({
    read: (body) => body(state),
    now: Date.now,
    random: Math.random,
    healthy: () => true,
    log: LOG,
    open: async (self) =>
      (options.wrap ?? ((gate: BusGate) => gate))(
        await openBusGate({
          servers: server.url,
          credentials: natsCredentials(dataDir, "gate"),
          issuer: natsIssuer(dataDir),
          name: "test",
          keeper: self,
        }),
      ),
    ...options,
  });
}

function connectAs(role: NatsRole): Promise<NatsConnection> {
  const { seed, inboxPrefix } = natsCredentials(dataDir, role);
  const authenticator = nkeyAuthenticator(seed);
  return connect({
    servers: server.url,
    authenticator,
    inboxPrefix,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
  });
}

function makeToken(org: string, more: Partial<TokenRecord> = {}, scopes: readonly Scope[] = ["read"]) {
  const { id, token, hash } = mintToken();
  const record: TokenRecord = {
    id,
    org: parseName(org, "org"),
    hash,
    scopes,
    created_at: new Date().toISOString(),
    created_by: { kind: "token", id },
    ...more,
  };
  state.put(KEYS.token(record.org, id), record);
  state.put(KEYS.tokenByHash(hash), { org: record.org, id });
  const revoke = (): void =>
    state.put(KEYS.token(record.org, id), { ...record, revoked_at: new Date().toISOString() });
  return { id, token, org: record.org, revoke };
}

function attempt(pass: string | undefined, more: object = { reconnect: false }): Promise<NatsConnection> {
  return connect({ servers: server.url, user: "anybody", ...(pass === undefined ? {} : { pass }), ...more });
}

/** Of who should get in: on a busy machine the api may take longer than the two seconds that the server waits. */
async function login(...options: Parameters<typeof attempt>): Promise<NatsConnection> {
  for (let left = 5; left > 0; left--) {
    const connection = await attempt(...options).catch(() => undefined);
    if (connection !== undefined) return connection;
  }
  return attempt(...options);
}

/** What a connection hears of a subject from now on; the server's refusals are among it. */
async function hear(connection: NatsConnection, subject: string, queue?: string): Promise<string[]> {
  const heard: string[] = [];
  connection.subscribe(subject, {
    ...(queue === undefined ? {} : { queue }),
    callback: (error, message) =>
      void heard.push(error === null ? message.string() : `refused: ${error.message}`),
  });
  await connection.flush();
  return heard;
}

function errorsOf(connection: NatsConnection): string[] {
  const errors: string[] = [];
  void (async () => {
    for await (const status of connection.status())
      if (status.type === "error") errors.push(status.error.message);
  })();
  return errors;
}

let events = 0;
/** An event as the relay publishes it, stored. */
async function happen(subject: string): Promise<string> {
  const text = `${subject} ${++events}`;
  await jetstream(pointer).publish(`granary.events.${subject}`, text);
  return text;
}

async function refused(connecting: Promise<NatsConnection>): Promise<void> {
  const connection = await connecting.catch((error: unknown) => error as Error);
  if (connection instanceof Error) assert.match(connection.message, /authorization violation/i);
  else {
    await connection.close();
    assert.fail("it got in");
  }
}

describe("a subscriber", () => {
  test("hears the events of its org, each once, and nothing of another one's", async () => {
    const [a, b] = [await login(makeToken("a").token), await login(makeToken("b").token)];
    const [ofA, ofOne, ofB] = [
      await hear(a, "granary.events.a.>"),
      await hear(a, "granary.events.a.one.*.*"),
      await hear(b, "granary.events.b.>"),
    ];
    const told = [
      await happen("a.one.release.ready"),
      await happen("b.one.release.ready"),
      await happen("a.two.x.y"),
    ];
    await waitUntil("all is heard", 5_000, () => ofA.length > 1 && ofB.length > 0);
    assert.deepEqual([ofA, ofOne, ofB], [[told[0], told[2]], [told[0]], [told[1]]]);
    await a.close();
    await b.close();
  });

  test("may subscribe to nothing wider, nor to anything else", async () => {
    const connection = await login(makeToken("a").token);
    const subjects = `
      > * *.> granary.> granary.*.> granary.events.> granary.events.* granary.events.*.>
      granary.events.b.> granary.events.b.one.release.ready granary.events.*.one.release.ready
      granary.events.a granary.commands.> granary.commands.a.> granary.jobs.> _INBOX.>
      _INBOX_pointer.> $JS.> $JS.API.> $JS.EVENT.> $SYS.> $SYS.REQ.USER.AUTH
      $SYS.ACCOUNT.SUBSCRIBERS.CONNECT
    `
      .trim()
      .split(/\s+/);
    const heard = await Promise.all(subjects.map((subject) => hear(connection, subject)));
    await happen("b.one.release.ready");
    const api = await connectAs("api");
    await jetstream(api).publish("granary.commands.a._", "{}");
    await api.close();
    await waitUntil("all are refused", 5_000, () => heard.every((lines) => lines.length > 0));
    for (const [i, lines] of heard.entries())
      assert.match(lines.join("\n"), /^refused: Permissions Violation for Subscription[^\n]*$/, subjects[i]);
    await connection.close();
  });

  test("can publish and ask for nothing, whatever the reply subject", async () => {
    const connection = await login(makeToken("a").token);
    const refusals = errorsOf(connection);
    const admin = await connectAs("admin");
    const leaked = await hear(admin, ">");
    const subjects = `
      granary.events.a.one.release.ready granary.commands.a._ granary.jobs.publish.prod.a x
      $JS.API.INFO $JS.API.STREAM.MSG.GET.GRANARY_EVENTS $JS.API.CONSUMER.CREATE.GRANARY_EVENTS
      $JS.API.CONSUMER.MSG.NEXT.GRANARY_EVENTS.x $JS.ACK.GRANARY_EVENTS.x.1.1.1.1.1 _INBOX_pointer.x
      $SYS.REQ.USER.AUTH $SYS.REQ.USER.INFO $SYS.REQ.SERVER.PING $SYS.REQ.ACCOUNT.PING.CONNZ
    `
      .trim()
      .split(/\s+/);
    for (const subject of subjects) {
      connection.publish(subject, "x");
      connection.publish(subject, "x", { reply: "granary.commands.a._" });
    }
    const denied = () => refusals.filter((line) => /Permissions Violation for Publish/.test(line)).length;
    await waitUntil("each is refused", 5_000, () => denied() === 2 * subjects.length);
    await admin.flush();
    assert.deepEqual(leaked, []);
    await admin.close();
    assert.equal(connection.info?.max_payload, LIMITS.busMessageBytes, "nor does the server read large ones");
    await connection.close();
  });

  test("shares a queue group with connections of its own token only", async () => {
    const own = makeToken("a");
    const [one, two, thief] = [
      await login(own.token),
      await login(own.token),
      await login(makeToken("a", { project: parseName("one", "project") }).token),
    ];
    const shares = [
      await hear(one, "granary.events.a.>", `${own.id}.deployers`),
      await hear(two, "granary.events.a.>", `${own.id}.deployers`),
    ];
    const stolen = await hear(thief, "granary.events.a.one.>", `${own.id}.deployers`);
    const nameless = await hear(one, "granary.events.a.>", "deployers");
    const told = [];
    for (let i = 0; i < 10; i++) told.push(await happen("a.one.release.ready"));
    await waitUntil("all is heard", 5_000, () => shares.flat().length >= told.length);
    assert.deepEqual(shares.flat().sort(), told.sort());
    for (const lines of [stolen, nameless]) assert.match(lines.join("\n"), /^refused: [^\n]*$/);
    for (const connection of [one, two, thief]) await connection.close();
  });

  test("of a project hears that project", async () => {
    const connection = await login(makeToken("a", { project: parseName("one", "project") }).token);
    const heard = await hear(connection, "granary.events.a.one.>");
    const wider = await hear(connection, "granary.events.a.>");
    const other = await hear(connection, "granary.events.a.two.>");
    await happen("a.two.release.ready");
    const told = await happen("a.one.release.ready");
    await waitUntil("it is heard", 5_000, () => heard.length > 0);
    assert.deepEqual(heard, [told]);
    for (const lines of [wider, other]) assert.match(lines.join("\n"), /^refused: [^\n]*$/);
    await connection.close();
  });

  test("has a bounded number of subscriptions", async () => {
    const connection = await login(makeToken("a").token);
    const refusals = errorsOf(connection);
    for (let i = 0; i <= LIMITS.busSubscriptions; i++) connection.subscribe("granary.events.a.>");
    await waitUntil("the last one is refused", 5_000, () => /maximum subscriptions/i.test(refusals.join()));
    await connection.close();
  });
});

describe("who is let in", () => {
  test("a token as password, as token, or as user name; nothing else, and no secret is logged", async () => {
    const { token } = makeToken("a");
    const ways = [{ pass: token }, { user: undefined, token }, { user: token, pass: "" }];
    for (const way of ways) await (await login(undefined, { reconnect: false, ...way })).close();
    const { publicKey } = natsIssuer(dataDir);
    const dead = makeToken("a");
    dead.revoke();
    const gone = makeToken("a", { expires_at: new Date(Date.now() - 1_000).toISOString() });
    const orphan = makeToken("a", { trust: "trust_gone" });
    const bad = [
      ...[
        "",
        " ",
        "x",
        "null",
        "\u0000",
        "ü".repeat(500),
        `${token} `,
        token.slice(0, -1),
        token.toUpperCase(),
      ],
      ...[
        mintToken().token,
        dead.token,
        gone.token,
        orphan.token,
        makeToken("a", {}, ["publish"]).token,
        publicKey,
      ],
    ];
    for (const pass of bad) await refused(attempt(pass));
    await refused(attempt(undefined, { reconnect: false, user: undefined }));
    const role = /nkey: (U[A-Z0-9]{55})/.exec(readFileSync(natsPaths(dataDir).config, "utf8"))?.[1] ?? "";
    const posing = await login(token, { reconnect: false, user: role });
    const all = await hear(posing, ">");
    await waitUntil("a role's name opens nothing", 5_000, () => all.length > 0);
    assert.match(all.join("\n"), /^refused: [^\n]*$/);
    await posing.close();
    const log = readFileSync(path.join(natsPaths(dataDir).folder, "nats.log"), "utf8");
    for (const secret of [token, dead.token, gone.token]) assert.ok(!log.includes(secret));
  });

  test("an org has so many connections, and no more; another org is not touched", async () => {
    const { token, id } = makeToken("full");
    for (let cid = 0; cid < LIMITS.busConnectionsPerOrg; cid++)
      keeper.opened({ server: "elsewhere", cid, user: `full/${id}` });
    await refused(attempt(token));
    await (await login(makeToken("a").token)).close();
    for (let cid = 0; cid < LIMITS.busConnectionsPerOrg; cid++) keeper.closed({ server: "elsewhere", cid });
    await (await login(token)).close();
  });

  test("nobody, while the api cannot know of revocations, and nobody while there is none", async () => {
    const open = await login(makeToken("a").token);
    const heard = await hear(open, "granary.events.a.>");
    await keeper.close();
    const sick = await startKeeper({ healthy: () => false }).ready();
    await refused(attempt(makeToken("a").token));
    await sick.close();
    await refused(attempt(makeToken("a").token));
    await (await connectAs("api")).close();
    const told = await happen("a.one.release.ready");
    await waitUntil("who was in still hears", 5_000, () => heard.includes(told));
    keeper = await startKeeper().ready();
    await open.close();
  });
});

describe("a connection ends with its token", () => {
  test("within two seconds of its revocation, and only that one", async () => {
    const [dead, live] = [makeToken("a"), makeToken("a")];
    const [one, two, other] = [await login(dead.token), await login(dead.token), await login(live.token)];
    const at = performance.now();
    dead.revoke();
    await Promise.all([one.closed(), two.closed()]);
    assert.ok(performance.now() - at < 2_000, `${performance.now() - at} ms`);
    await refused(attempt(dead.token));
    await other.flush();
    await other.close();
  });

  test("when it expires, when its trust goes, when its org is removed", async () => {
    const expiring = makeToken("a", { expires_at: new Date(Date.now() + 1_500).toISOString() });
    state.put(KEYS.trust(parseName("a", "org"), "trust_1"), { id: "trust_1" } as never);
    const trusted = makeToken("a", { trust: "trust_1" });
    const removed = makeToken("removed");
    const connections = [await login(expiring.token), await login(trusted.token), await login(removed.token)];
    state.remove(KEYS.trust(parseName("a", "org"), "trust_1"));
    state.remove(KEYS.token(removed.org, removed.id));
    const at = performance.now();
    await Promise.all(connections.map((connection) => connection.closed()));
    assert.ok(performance.now() - at < 4_000, `${performance.now() - at} ms`);
  });

  test("that another api let in, also one that is gone", async () => {
    const [first, second] = [makeToken("a"), makeToken("a")];
    const another = await startKeeper().ready();
    const open = await login(first.token);
    await keeper.close();
    first.revoke();
    await open.closed();
    const before = await login(second.token);
    await another.close();
    second.revoke();
    keeper = await startKeeper().ready();
    await before.closed();
  });

  test("also when a kick is lost: it is repeated", async () => {
    await keeper.close();
    let kicks = 0;
    const lossy = (gate: BusGate): BusGate => ({
      ...gate,
      connected: true,
      kick: (place) => (kicks++ === 0 ? undefined : gate.kick(place)),
    });
    keeper = await startKeeper({ wrap: lossy }).ready();
    const { token, revoke } = makeToken("a");
    const open = await login(token);
    revoke();
    await open.closed();
    assert.ok(kicks > 1);
  });
});

test("a nats-server that restarts lets its subscribers in again by themselves", async () => {
  const { token, revoke } = makeToken("a");
  const connection = await login(token, { maxReconnectAttempts: -1, reconnectTimeWait: 250 });
  const heard = await hear(connection, "granary.events.a.>");
  await server.restart();
  await waitUntil("it is back", 20_000, async () => {
    pointer.publish("granary.events.a.one.release.ready", "again");
    return heard.length > 0;
  });
  revoke();
  await connection.closed();
});
