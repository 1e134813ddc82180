import { z } from "zod";
import { GranaryError } from "../../proto/errors.ts";
import { NATS_ACCOUNTS } from "../../proto/subjects.ts";
import { type BusOptions, connectNats } from "./bus-connection.ts";
import { readClaims, signClaims } from "./nats-jwt.ts";
import type { NatsKey } from "./nats-key.ts";
import { GATE_SUBJECTS } from "./nats-permissions.ts";

/** A connection of a subscriber, wherever in a cluster it is. */
export interface BusPlace {
  readonly server: string;
  /** Number of the connection on that server. */
  readonly cid: number;
}

/** Somebody without a key of the farm's asks to connect. */
export interface BusLogin extends BusPlace {
  readonly host: string;
  /** What was sent as password, as token, or instead of a name. */
  readonly secret: string | undefined;
}

/** What a connection may do: hear these subjects, as this user, until then. */
export interface BusAdmission {
  readonly user: string;
  readonly subscribe: readonly string[];
  readonly expiresAtMs: number;
}

/** What the holder of the gate decides and is told. */
export interface BusKeeper {
  /** @returns undefined: refused. Must not throw. */
  admit(login: BusLogin): BusAdmission | undefined;
  opened(connection: BusPlace & { user: string }): void;
  closed(connection: BusPlace): void;
  /** The gate is there (again): what opened and closed meanwhile was not told. */
  connected(): void;
}

/** Where subscribers come in: the nats-server asks here about everybody who has no key of the farm's (auth callout). */
export interface BusGate {
  readonly connected: boolean;
  /** Connections of subscribers that are open now. @throws when the server does not answer */
  connections(): Promise<readonly (BusPlace & { user: string })[]>;
  /** Ends a connection; nothing happens when it is gone. */
  kick(place: BusPlace): void;
  close(): Promise<void>;
}

/** @throws GranaryError UNAUTHENTICATED when this nats-server has no gate, UNAVAILABLE when nobody answers in time */
export async function openBusGate(
  options: BusOptions & {
    readonly issuer: NatsKey;
    readonly keeper: BusKeeper;
  },
): Promise<BusGate> {
  const { issuer, keeper } = options;
  const connection = await connectNats(options);
  const { nats } = connection;
  nats.subscribe(GATE_SUBJECTS.logins, {
    // One of several apis answers.
    queue: "granary",
    callback: (error, message) => {
      if (error === null) message.respond(answerLogin(issuer, keeper, message.string()));
    },
  });
  const watch = (subject: string, tell: (event: z.infer<typeof Event>) => void): void => {
    nats.subscribe(subject, {
      callback: (error, message) => {
        const event = error === null ? Event.safeParse(message.json()) : undefined;
        if (event?.success) tell(event.data);
      },
    });
  };
  watch(GATE_SUBJECTS.opened, ({ server, client }) =>
    keeper.opened({ server: server.id, cid: client.id, user: client.user ?? "" }),
  );
  watch(GATE_SUBJECTS.closed, ({ server, client }) => keeper.closed({ server: server.id, cid: client.id }));
  connection.onStatus((connected) => {
    if (connected) keeper.connected();
  });
  await nats.flush();
  return {
    get connected() {
      return connection.connected;
    },
    async connections() {
      const found: (BusPlace & { user: string })[] = [];
      for (let offset = 0; ; offset += CONNECTIONS_PER_PAGE) {
        const body = JSON.stringify({ auth: true, limit: CONNECTIONS_PER_PAGE, offset });
        // Every server of a cluster answers for itself.
        const pages = await nats.requestMany(GATE_SUBJECTS.connections, body, {
          strategy: "stall",
          maxWait: LIST_MS,
        });
        let [answers, more] = [0, false];
        for await (const message of pages) {
          const { server, data } = Connections.parse(message.json());
          const rows = data.connections ?? [];
          for (const { cid, authorized_user: user = "" } of rows)
            found.push({ server: server.id, cid, user });
          answers += 1;
          more ||= rows.length === CONNECTIONS_PER_PAGE;
        }
        if (answers === 0)
          throw new GranaryError("UNAVAILABLE", "the nats-server does not list its connections");
        if (!more) return found;
      }
    },
    kick({ server, cid }) {
      // The server does nothing for a request that wants no answer.
      const reply = `${options.credentials.inboxPrefix}.kicked`;
      if (connection.connected) nats.publish(GATE_SUBJECTS.kick(server), JSON.stringify({ cid }), { reply });
    },
    close: () => connection.close(),
  };
}

const LIST_MS = 5_000;
/** A page of them is some 150 KB. */
const CONNECTIONS_PER_PAGE = 256;

const Event = z.object({
  server: z.object({ id: z.string() }),
  client: z.object({ id: z.int(), user: z.string().optional() }),
});

const Connections = z.object({
  server: z.object({ id: z.string() }),
  data: z.object({
    connections: z.array(z.object({ cid: z.int(), authorized_user: z.string().optional() })).nullish(),
  }),
});

const LoginRequest = z.object({
  nats: z.object({
    server_id: z.object({ id: z.string() }),
    user_nkey: z.string(),
    client_info: z.object({ id: z.int(), host: z.string().optional() }),
    connect_opts: z.object({
      auth_token: z.string().optional(),
      pass: z.string().optional(),
      user: z.string().optional(),
    }),
  }),
});

/** An empty answer refuses at once, tells nothing, and costs no signature. */
const REFUSED = "";

function answerLogin(issuer: NatsKey, keeper: BusKeeper, jwt: string): string {
  let request: z.infer<typeof LoginRequest>["nats"];
  try {
    request = LoginRequest.parse(readClaims(jwt)).nats;
  } catch {
    return REFUSED;
  }
  const { server_id, user_nkey, client_info, connect_opts } = request;
  const admission = keeper.admit({
    server: server_id.id,
    cid: client_info.id,
    host: client_info.host ?? "",
    // A user name that is refused would be in the server's log.
    secret: connect_opts.pass || connect_opts.auth_token || connect_opts.user,
  });
  if (admission === undefined) return REFUSED;
  const user = signClaims(issuer, {
    name: admission.user,
    sub: user_nkey,
    aud: NATS_ACCOUNTS.subscribers,
    exp: Math.ceil(admission.expiresAtMs / 1000),
    nats: {
      pub: { deny: [">"] },
      sub: { allow: admission.subscribe },
      ...UNLIMITED,
      allowed_connection_types: ["STANDARD", "WEBSOCKET"],
      type: "user",
      version: 2,
    },
  });
  return signClaims(issuer, {
    sub: user_nkey,
    aud: server_id.id,
    nats: { jwt: user, type: "authorization_response", version: 2 },
  });
}

/** Limits of a user's JWT do not hold in a server that is configured by a file; those of the account do. */
const UNLIMITED = { subs: -1, data: -1, payload: -1 };
