import { LIMITS } from "../../proto/limits.ts";
import type { Name } from "../../proto/names.ts";

/**
 * Something bounded that orgs take from and give back: each may have {@link LIMITS.orgShare} of what the others leave. However much
 * one org holds, and however long, the next one finds room.
 */
export class FairShare {
  readonly #limit: number;
  readonly #held = new Map<Name, number>();
  #total = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @returns false, and nothing is taken, when it would be more than the org may have now */
  take(org: Name, amount: number): boolean {
    const own = this.#held.get(org) ?? 0;
    if (own + amount > this.limitOf(org)) return false;
    this.#held.set(org, own + amount);
    this.#total += amount;
    return true;
  }

  give(org: Name, amount: number): void {
    const own = (this.#held.get(org) ?? 0) - amount;
    this.#total -= amount;
    if (own === 0) this.#held.delete(org);
    else this.#held.set(org, own);
  }

  /** What the org may have now, all together. */
  limitOf(org: Name): number {
    const others = this.#total - (this.#held.get(org) ?? 0);
    return Math.ceil((this.#limit - others) * LIMITS.orgShare);
  }
}
