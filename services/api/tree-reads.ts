import { GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { Name } from "../../proto/names.ts";
import { FairShare } from "../shared/fair-share.ts";
import type { HttpReply } from "../shared/http-server.ts";

/**
 * Requests that read whole trees: {@link LIMITS.treeReadsAtOnce} at a time, the others wait, one org after another. A place is held until
 * the client has its answer, so that clients that do not read cannot fill the memory with answers.
 */
export class TreeReads {
  readonly #places = new FairShare(LIMITS.treeReads);
  /** Orgs in the order of their turns. */
  readonly #waiting = new Map<Name, (() => void)[]>();
  #running = 0;

  /** @param send reads and answers @throws GranaryError RATE_LIMITED, and what `send` does */
  async use(org: Name, reply: HttpReply, send: () => Promise<HttpReply>): Promise<HttpReply> {
    if (!this.#places.take(org, 1)) {
      const limit = this.#places.limitOf(org);
      const message = `${limit} listings and diffs of ${org} are being read`;
      throw new GranaryError("RATE_LIMITED", message, { limit, retry_after_s: 1 });
    }
    const { raw } = reply;
    if (raw.destroyed) this.#places.give(org, 1);
    else raw.once("close", () => this.#places.give(org, 1));
    await this.#begin(org);
    try {
      return await send();
    } finally {
      this.#running -= 1;
      this.#startNext();
    }
  }

  /** Resolves when it is the request's turn. */
  #begin(org: Name): Promise<void> {
    const turn = new Promise<void>((resolve) => {
      const own = this.#waiting.get(org);
      if (own === undefined) this.#waiting.set(org, [resolve]);
      else own.push(resolve);
    });
    this.#startNext();
    return turn;
  }

  #startNext(): void {
    if (this.#running >= LIMITS.treeReadsAtOnce) return;
    const [next] = this.#waiting;
    if (next === undefined) return;
    const [org, queue] = next;
    this.#waiting.delete(org);
    const start = queue.shift();
    // Behind the others.
    if (queue.length > 0) this.#waiting.set(org, queue);
    this.#running += 1;
    start?.();
  }
}
