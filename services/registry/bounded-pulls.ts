import { GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { Name } from "../../proto/names.ts";
import { FairShare } from "../shared/fair-share.ts";

/** What of an answer says that it is over, however it ends. */
interface Answer {
  readonly destroyed: boolean;
  once(event: "close", listener: () => void): unknown;
}

/** Blobs that are sent at this moment, by one process: whoever pulls an org's images, with a token or without, leaves room for those of others. */
export class BoundedPulls {
  readonly #share: FairShare;

  constructor(limit: number = LIMITS.pullsAtOnce) {
    this.#share = new FairShare(limit);
  }

  /** Counts an answer until it is over. @throws GranaryError RATE_LIMITED, which registry clients try again */
  begin(org: Name, answer: Answer): void {
    // Nobody is there any more, and nothing would say so.
    if (answer.destroyed) return;
    if (!this.#share.take(org, 1)) {
      const limit = this.#share.limitOf(org);
      const message = `${limit} blobs of ${org} are being pulled`;
      throw new GranaryError("RATE_LIMITED", message, { limit, retry_after_s: 1 });
    }
    answer.once("close", () => this.#share.give(org, 1));
  }
}
