import type { IncomingMessage } from "node:http";
import { type Digest, digestHex } from "../../proto/digest.ts";
import { GranaryError } from "../../proto/errors.ts";
import type { StoreHealJson } from "../../proto/http-store.ts";
import { ARCHIVE_LIMITS, LIMITS } from "../../proto/limits.ts";
import type { AdoptResult } from "../../proto/worker-tasks.ts";
import type { Upload } from "../../store/upload.ts";
import { artifactsNaming } from "../shared/artifacts-naming.ts";
import { gcRoots } from "../shared/content-roots.ts";
import type { ApiContext } from "./context.ts";
import { withIdleTimeout } from "./receive-upload.ts";

/** What a crash leaves in the inbox is swept when this is over. */
const LEASE_MS = 3_600_000;
const STALL_MS = 30_000;
const DEADLINE_MS = 600_000;

type Context = Pick<ApiContext, "store" | "pool" | "limits" | "closing" | "read">;

/**
 * Content that releases need and the store has not: found, and taken from whoever has it. Only what was found is taken, so that these
 * routes bring nothing that nobody asked for.
 */
export class LostContent {
  readonly #context: Context;
  #wanted: ReadonlySet<Digest> = new Set();

  constructor(context: Context) {
    this.#context = context;
  }

  /** @throws GranaryError STATE_CONFLICT beside a garbage collection or a repair, STORE_* */
  async find(): Promise<StoreHealJson> {
    const { store, read } = this.#context;
    const lost = await store.lost({
      roots: () => gcRoots((body) => read(body)),
      artifactsNaming: (digests) => artifactsNaming(digests, this.#context),
    });
    const named = lost.slice(0, LIMITS.lostDigests);
    this.#wanted = new Set(named);
    return { lost: lost.length, lost_digests: named };
  }

  /** @throws GranaryError STATE_CONFLICT for content that was not among what was found last */
  assertWanted(digest: Digest): void {
    if (this.#wanted.has(digest)) return;
    throw new GranaryError("STATE_CONFLICT", `${digest} is not known to be lost here`, {
      digest,
      hint: "POST /v1/store:heal finds what is lost; that is taken, until the farm restarts.",
    });
  }

  /**
   * Takes a blob's bytes: into the inbox first, from there to the store in a worker thread. Answers how many there were.
   * @throws GranaryError DIGEST_INVALID, BODY_TOO_LARGE, USAGE on a body that ends early, STATE_CONFLICT while the same is being
   *   received, UNAVAILABLE, STORE_*
   */
  async receive(digest: Digest, body: IncomingMessage): Promise<number> {
    const { store } = this.#context;
    const id = `heal_${digestHex(digest)}`;
    const upload = await store.openUpload(id);
    try {
      await this.#append(body, upload);
      const sealed = await upload.seal({ leaseMs: LEASE_MS });
      if (sealed.digest !== digest)
        throw new GranaryError("DIGEST_INVALID", `the body has ${sealed.digest}, asked for was ${digest}`);
      const { commit } = await this.#adopt({ digest, size: sealed.size, path: sealed.path });
      await store.commit(commit, { heldBy: id });
      return sealed.size;
    } finally {
      await upload.abort();
      await store.removeUpload(id);
    }
  }

  async #append(body: IncomingMessage, upload: Upload): Promise<void> {
    // A file that was published under a larger limit may come back; one beyond both is none of ours.
    const limit = Math.max(this.#context.limits.fileBytes, ARCHIVE_LIMITS.fileBytes);
    const refuseLonger = (actual: number): void => {
      if (actual > limit)
        throw new GranaryError("BODY_TOO_LARGE", `the blob has more than ${limit} bytes`, { actual, limit });
    };
    refuseLonger(Number(body.headers["content-length"] ?? 0));
    for await (const chunk of withIdleTimeout(body)) {
      refuseLonger(upload.size + chunk.byteLength);
      await upload.write(chunk);
    }
    if (!body.complete) throw new GranaryError("USAGE", "the connection ended before the body did");
  }

  async #adopt(file: { digest: Digest; size: number; path: string }): Promise<AdoptResult> {
    const { pool, closing: signal } = this.#context;
    const limits = { signal, stallMs: STALL_MS, deadlineMs: DEADLINE_MS };
    const outcome = await pool.run("adopt", file, limits);
    if (!outcome.ok) throw GranaryError.fromWire(outcome.error);
    return outcome.value;
  }
}
