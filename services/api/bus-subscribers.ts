import { GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { Name } from "../../proto/names.ts";
import { eventsOf } from "../../proto/subjects.ts";
import { authenticateToken, isTokenLive, requireScope } from "../shared/authenticate.ts";
import type { BusAdmission, BusGate, BusKeeper, BusLogin, BusPlace } from "../shared/bus-gate.ts";
import type { Log } from "../shared/log.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { findTokenByHash, findUsableToken } from "../shared/state-queries.ts";
import { RECHECK_TOKEN_MS } from "./wait.ts";

interface SubscriberOptions {
  read<T>(body: (view: StateView) => T): T;
  now(): number;
  random(): number;
  /** Whether what is read is current: who cannot know of a revocation admits nobody. */
  healthy(): boolean;
  readonly log: Log;
  /** Opens the gate for this keeper. @throws GranaryError UNAUTHENTICATED when the nats-server has none */
  open(keeper: BusKeeper): Promise<BusGate>;
}

interface Subscriber extends BusPlace {
  readonly org: Name;
  readonly tokenId: string;
  /** Round of {@link BusSubscribers.#list} in which it was last seen. */
  round: number;
  ended: boolean;
}

/**
 * Who may hear events straight from the bus. A token with the scope `read` opens a connection that hears its org's (or project's)
 * events and can do nothing else; the connection ends within {@link RECHECK_TOKEN_MS} of the token. Every api knows all connections,
 * from what the servers tell and from their list, so that it does not matter which of them admitted one or was restarted meanwhile.
 */
export class BusSubscribers implements BusKeeper {
  readonly #options: SubscriberOptions;
  readonly #subscribers = new Map<string, Subscriber>();
  readonly #timers: NodeJS.Timeout[];
  #gate: BusGate | undefined;
  #round = 0;
  #refused = 0;
  #toldAt = 0;
  #closed = false;
  #opening: Promise<void>;

  constructor(options: SubscriberOptions) {
    this.#options = options;
    this.#opening = this.#open();
    this.#timers = [
      setInterval(() => this.#endDead(), RECHECK_TOKEN_MS),
      setInterval(() => this.#lookAgain(), LIST_EVERY_MS),
    ];
  }

  /** Resolves when the first attempt to open the gate is over. */
  async ready(): Promise<this> {
    await this.#opening;
    return this;
  }

  /** Whether subscribers are let in now. */
  get open(): boolean {
    return this.#gate?.connected === true;
  }

  admit(login: BusLogin): BusAdmission | undefined {
    try {
      return this.#admit(login);
    } catch (error) {
      this.#tellRefusal(login, error);
      return undefined;
    }
  }

  opened({ user, ...place }: BusPlace & { user: string }): void {
    const [org, tokenId] = user.split("/", 2) as [Name, string | undefined];
    if (tokenId === undefined) return;
    const known = this.#subscribers.get(keyOf(place));
    if (known?.tokenId === tokenId) known.round = this.#round;
    else this.#subscribers.set(keyOf(place), { ...place, org, tokenId, round: this.#round, ended: false });
  }

  closed(place: BusPlace): void {
    this.#subscribers.delete(keyOf(place));
  }

  connected(): void {
    this.#lookAgain();
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    await this.#opening;
    await this.#gate?.close();
  }

  #admit(login: BusLogin): BusAdmission {
    const { read, now, random, healthy } = this.#options;
    if (!healthy()) throw new GranaryError("UNAVAILABLE", "the command log does not answer");
    const principal = authenticateToken(login.secret, {
      tokenByHash: (hash) => read((view) => findTokenByHash(view, hash)),
      now,
    });
    requireScope(principal, "read");
    const { org, tokenId } = principal;
    let ofOrg = 0;
    for (const subscriber of this.#subscribers.values()) if (subscriber.org === org) ofOrg += 1;
    if (ofOrg >= LIMITS.busConnectionsPerOrg)
      throw new GranaryError("RATE_LIMITED", `${org} has ${ofOrg} connections to the bus`, { org });
    const user = `${org}/${tokenId}`;
    this.opened({ server: login.server, cid: login.cid, user });
    const events = eventsOf(principal);
    // Spread, so that those who came together do not come back together.
    const showAgainAt = now() + LIMITS.busLoginMs * (0.75 + random() / 2);
    const endsAt = principal.expiresAt === undefined ? showAgainAt : Date.parse(principal.expiresAt);
    return {
      user,
      // Queue groups of another token could take messages out of this one's.
      subscribe: [events, `${events} ${tokenId}`, `${events} ${tokenId}.>`],
      expiresAtMs: Math.min(showAgainAt, endsAt),
    };
  }

  /** One line a second, whatever is tried: without what was sent. */
  #tellRefusal({ host }: BusLogin, error: unknown): void {
    this.#refused += 1;
    if (this.#options.now() - this.#toldAt < TELL_EVERY_MS) return;
    const reason = error instanceof Error ? error.message : String(error);
    this.#options.log.warn({ host, reason, refused: this.#refused }, "a subscriber was refused on the bus");
    this.#refused = 0;
    this.#toldAt = this.#options.now();
  }

  /** Kicks whose token is dead, again and again until the server says that they are gone. */
  #endDead(): void {
    const { read, now, log } = this.#options;
    if (this.#subscribers.size === 0) return;
    const live = new Map<string, boolean>();
    read((view) => {
      for (const { org, tokenId } of this.#subscribers.values()) {
        if (live.has(tokenId)) continue;
        const record = findUsableToken(view, org, tokenId);
        live.set(tokenId, record !== undefined && isTokenLive(record, now()));
      }
    });
    let ended = 0;
    for (const subscriber of this.#subscribers.values()) {
      if (live.get(subscriber.tokenId) === true) continue;
      this.#gate?.kick(subscriber);
      if (!subscriber.ended) ended += 1;
      subscriber.ended = true;
    }
    if (ended > 0) log.info({ connections: ended }, "connections of subscribers end with their tokens");
  }

  #lookAgain(): void {
    this.#list().catch((error: unknown) => {
      if (this.#closed) return;
      this.#options.log.warn({ err: error }, "the connections of subscribers could not be listed");
      setTimeout(() => this.#lookAgain(), LIST_AGAIN_MS).unref();
    });
  }

  /** Learns of connections that nobody told of, and forgets those that are gone. */
  async #list(): Promise<void> {
    if (this.#gate?.connected !== true) return;
    const round = ++this.#round;
    for (const connection of await this.#gate.connections()) this.opened(connection);
    for (const [key, { round: seen }] of this.#subscribers) if (seen < round) this.#subscribers.delete(key);
    this.#endDead();
  }

  /** An operator's nats-server may get its gate later. */
  async #open(): Promise<void> {
    try {
      this.#gate = await this.#options.open(this);
      this.#lookAgain();
    } catch (error) {
      if (this.#closed) return;
      this.#options.log.warn(
        { reason: error instanceof Error ? error.message : String(error) },
        "subscribers cannot connect to the bus (docs/operate.md); trying again",
      );
      this.#timers.push(
        setTimeout(() => {
          this.#opening = this.#open();
        }, OPEN_AGAIN_MS),
      );
    }
  }
}

const LIST_EVERY_MS = 60_000;
const LIST_AGAIN_MS = 1_000;
const OPEN_AGAIN_MS = 30_000;
const TELL_EVERY_MS = 1_000;

function keyOf({ server, cid }: BusPlace): string {
  return `${server}/${cid}`;
}
