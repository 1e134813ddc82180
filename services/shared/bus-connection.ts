import { setTimeout as sleep } from "node:timers/promises";
import {
  AuthorizationError,
  connect,
  type NatsConnection,
  PermissionViolationError,
} from "@nats-io/transport-node";
import { GranaryError } from "../../proto/errors.ts";
import { NatsKey } from "./nats-key.ts";
import type { NatsCredentials } from "./nats-keys.ts";

export interface BusOptions {
  readonly servers: string | readonly string[];
  readonly credentials: NatsCredentials;
  /** Shown in the server's monitoring. */
  readonly name: string;
  /** How long the first connection is tried; afterwards a lost one is re-established for ever. Default 30 s. */
  readonly firstConnectMs?: number;
  /** Ends the first connection's attempts. */
  readonly signal?: AbortSignal;
}

/** A connection that comes back by itself, and says when it is away. */
export interface BusConnection {
  readonly nats: NatsConnection;
  readonly connected: boolean;
  /** Calls back when the connection is lost (`false`) or there again (`true`); returns what removes the listener. */
  onStatus(listener: (connected: boolean) => void): () => void;
  close(): Promise<void>;
}

/** @throws GranaryError UNAVAILABLE when nobody answers in time, UNAUTHENTICATED when the server refuses the key */
export async function connectNats(options: BusOptions): Promise<BusConnection> {
  const nats = await firstConnection(options);
  const listeners = new Set<(connected: boolean) => void>();
  let connected = true;
  const set = (next: boolean) => {
    if (connected === next) return;
    connected = next;
    for (const listener of listeners) listener(next);
  };
  const watch = async () => {
    for await (const status of nats.status()) {
      if (status.type === "disconnect" || status.type === "staleConnection" || status.type === "close")
        set(false);
      else if (status.type === "reconnect") set(true);
    }
    set(false);
  };
  const watched = watch();
  return {
    nats,
    get connected() {
      return connected;
    },
    onStatus(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async close() {
      await nats.close();
      await watched;
    },
  };
}

async function firstConnection(options: BusOptions): Promise<NatsConnection> {
  const key = new NatsKey(options.credentials.seed);
  const deadline = performance.now() + (options.firstConnectMs ?? FIRST_CONNECT_MS);
  for (;;) {
    try {
      return await connect({
        servers: typeof options.servers === "string" ? options.servers : [...options.servers],
        authenticator: (nonce) => ({ nkey: key.publicKey, sig: key.sign(nonce ?? "") }),
        inboxPrefix: options.credentials.inboxPrefix,
        name: options.name,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 200,
        reconnectJitter: 100,
        // A server that restarts may refuse keys until its configuration is complete: that must not end the connection.
        ignoreAuthErrorAbort: true,
        pingInterval: 5_000,
        maxPingOut: 2,
        timeout: 5_000,
        // Two stack traces per request cost a twelfth of the time of a pipelined append.
        noAsyncTraces: true,
      });
    } catch (cause) {
      if (cause instanceof AuthorizationError || cause instanceof PermissionViolationError) {
        throw new GranaryError("UNAUTHENTICATED", `the nats-server refuses ${options.name}`, {}, { cause });
      }
      if (performance.now() > deadline || options.signal?.aborted) {
        throw new GranaryError(
          "UNAVAILABLE",
          `no nats-server answers at ${String(options.servers)}`,
          {},
          { cause },
        );
      }
      await sleep(200, undefined, options.signal && { signal: options.signal }).catch(() => undefined);
    }
  }
}

const FIRST_CONNECT_MS = 30_000;
