import { GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { Name } from "../../proto/names.ts";
import { FairShare } from "../shared/fair-share.ts";

/**
 * How many bodies one api receives at once. A slot is held from a body's first byte to its last, not while its publish is waited
 * for; clients that send a byte now and then leave room for other orgs' however many they are.
 */
export class UploadSlots {
  readonly #slots = new FairShare(LIMITS.concurrentUploads);

  /** Runs `receive` in a slot. @throws GranaryError RATE_LIMITED */
  async use<T>(org: Name, receive: () => Promise<T>): Promise<T> {
    if (!this.#slots.take(org, 1)) {
      const limit = this.#slots.limitOf(org);
      const message = `${limit} uploads of ${org} are being received`;
      throw new GranaryError("RATE_LIMITED", message, { limit, retry_after_s: 2 });
    }
    try {
      return await receive();
    } finally {
      this.#slots.give(org, 1);
    }
  }
}
