import type { Name } from "../../proto/names.ts";
import { FairShare } from "../shared/fair-share.ts";

/**
 * Lets `limit` requests be under way at once, of which each org has its share: one whose endpoints all hang holds up its own deliveries,
 * not those of the others. Within an org first come, first served; the orgs that wait take turns.
 */
export class FairSends {
  readonly #share: FairShare;
  readonly #waiting = new Map<Name, (() => void)[]>();

  constructor(limit: number) {
    this.#share = new FairShare(limit);
  }

  async run<T>(org: Name, send: () => Promise<T>): Promise<T> {
    if (this.#waiting.has(org) || !this.#share.take(org, 1)) await this.#turn(org);
    try {
      return await send();
    } finally {
      this.#share.give(org, 1);
      this.#next();
    }
  }

  #turn(org: Name): Promise<void> {
    return new Promise((resolve) => {
      const queue = this.#waiting.get(org);
      if (queue === undefined) this.#waiting.set(org, [resolve]);
      else queue.push(resolve);
    });
  }

  /** What was given back may make room for several orgs, as each one's share grows with it. */
  #next(): void {
    for (const [org, queue] of [...this.#waiting]) {
      if (!this.#share.take(org, 1)) continue;
      this.#waiting.delete(org);
      const [first, ...rest] = queue;
      if (rest.length > 0) this.#waiting.set(org, rest);
      first?.();
    }
  }
}
