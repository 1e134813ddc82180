import type { IncomingMessage } from "node:http";
import type { Digest } from "../../proto/digest.ts";
import { GranaryError } from "../../proto/errors.ts";
import type { PlanJson } from "../../proto/http.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { Name } from "../../proto/names.ts";
import type { ArtifactRecord, ReleaseRecord } from "../../proto/records.ts";
import { RECIPE_VERSION } from "../../proto/split-tree.ts";
import type { PlanResult } from "../../proto/worker-tasks.ts";
import { baseArtifacts } from "../shared/base-artifacts.ts";
import { baseReleases } from "../shared/base-releases.ts";
import { FairShare } from "../shared/fair-share.ts";
import { findCurrentRelease, findProject } from "../shared/state-queries.ts";
import type { ApiContext } from "./context.ts";
import { withIdleTimeout } from "./receive-upload.ts";
import { currentJson } from "./render.ts";
import type { Scoped } from "./request.ts";
import type { FoundSession, UploadSessions } from "./upload-sessions.ts";

/** A thread that reports nothing for this long is taken for hung; 200,000 entries take a second. */
const STALL_MS = 30_000;
/** Most listings fit. */
const FIRST_BYTES = 64 * 1024;

interface PlanOptions {
  readonly dryRun: boolean;
  readonly ifChanged: boolean;
}

/** Answers listings with what has to be sent; bounds the memory that they take together. */
export class UploadPlanner {
  readonly #context: ApiContext;
  readonly #sessions: UploadSessions;
  readonly #held = new FairShare(LIMITS.listingsHeldBytes);

  constructor(context: ApiContext, sessions: UploadSessions) {
    this.#context = context;
    this.#sessions = sessions;
  }

  /**
   * @param options dryRun: only the answer is wanted, no session; ifChanged: no session either where what is live is the same image
   * @throws GranaryError LISTING_INVALID, ARCHIVE_*, BODY_TOO_LARGE, RATE_LIMITED, STORE_*
   */
  async plan(body: IncomingMessage, where: Scoped, options: PlanOptions): Promise<PlanJson> {
    const held: Held = { org: where.org, bytes: 0 };
    try {
      const listing = await this.#receive(body, held);
      try {
        return await this.#planHeld(listing, where, options);
      } catch (error) {
        // What was there when it was looked up was found damaged or deleted meanwhile: now it is asked for.
        if (!(error instanceof GranaryError) || error.code !== "UNAVAILABLE") throw error;
        return await this.#planHeld(listing, where, options);
      }
    } finally {
      this.#held.give(held.org, held.bytes);
    }
  }

  async #planHeld(listing: Uint8Array, where: Scoped, options: PlanOptions): Promise<PlanJson> {
    const { org, project } = where;
    const { releases, artifacts } = this.#context.read((view) => {
      const releases = baseReleases(view, where);
      return { releases, artifacts: baseArtifacts(view, where, releases) };
    });
    const planned = await this.#run(listing, where, this.#treesOf(artifacts));
    const { tree, missing, missingBlobs, missingBytes, stats, warnings } = planned;
    const answer: PlanJson = {
      tree,
      missing,
      missing_blobs: missingBlobs,
      missing_bytes: missingBytes,
      ...existingOf(releases, tree),
      ...this.#currentOf(where),
    };
    if (options.dryRun || (options.ifChanged && isLive(answer))) return answer;
    const found = await this.#sessions.create(
      { org, project, tree, missing_blobs: missingBlobs, missing_bytes: missingBytes, stats, warnings },
      planned,
    );
    await this.#keepPresent(found, planned);
    return { ...answer, session: found.id, expires_at: found.session.expires_at };
  }

  /**
   * The session's file keeps what the answer calls present, from now on; what GC condemned since the look-up is revived.
   * @throws GranaryError UNAVAILABLE when some of it is gone: plan again
   */
  async #keepPresent(found: FoundSession, { relied }: PlanResult): Promise<void> {
    try {
      await this.#context.store.commit(relied);
    } catch (error) {
      await this.#sessions.remove(found);
      throw error;
    }
  }

  async #run(listing: Uint8Array, where: Scoped, baseTrees: readonly Digest[]): Promise<PlanResult> {
    const { pool, limits, read } = this.#context;
    const task = {
      listing,
      limits,
      portableNames: read((view) => findProject(view, where))?.settings.portable_names === true,
      baseTrees,
    };
    const { signal } = new AbortController();
    const outcome = await pool.run("plan", task, { signal, stallMs: STALL_MS, deadlineMs: limits.extractMs });
    if (!outcome.ok) throw GranaryError.fromWire(outcome.error);
    return outcome.value;
  }

  #treesOf(bases: readonly ArtifactRecord[]): Digest[] {
    const there = bases.filter(({ tree }) => this.#context.store.stat(tree) !== undefined);
    return [...new Set(there.map(({ tree }) => tree))];
  }

  #currentOf(where: Scoped): Pick<PlanJson, "current"> {
    if (!where.principal.scopes.has("read")) return {};
    return this.#context.read((view) => {
      const project = findProject(view, where);
      const release = project === undefined ? undefined : findCurrentRelease(view, where);
      return project === undefined || release === undefined
        ? {}
        : { current: currentJson(view, project, release, this.#context) };
    });
  }

  /** What is held is the buffer's size: who sends a byte now and then has one all the same. */
  async #receive(body: IncomingMessage, held: Held): Promise<Buffer> {
    const { listingGzipBytes: limit } = LIMITS;
    // One buffer that doubles: a body that comes byte by byte would otherwise cost a hundred times its size in chunks.
    this.#hold(held, FIRST_BYTES);
    let received = Buffer.alloc(FIRST_BYTES);
    let size = 0;
    for await (const chunk of withIdleTimeout(body)) {
      const end = size + chunk.byteLength;
      if (end > limit)
        throw new GranaryError("BODY_TOO_LARGE", `the listing has more than ${limit} bytes`, { limit });
      if (end > received.byteLength) {
        const room = Math.min(limit, Math.max(end, 2 * received.byteLength));
        this.#hold(held, room - received.byteLength);
        const larger = Buffer.alloc(room);
        received.copy(larger);
        received = larger;
      }
      chunk.copy(received, size);
      size = end;
    }
    if (!body.complete) throw new GranaryError("USAGE", "the connection ended before the body did");
    return received.subarray(0, size);
  }

  #hold(held: Held, bytes: number): void {
    if (!this.#held.take(held.org, bytes))
      throw new GranaryError("RATE_LIMITED", "too many listings are being read", {
        limit: this.#held.limitOf(held.org),
        retry_after_s: 2,
      });
    held.bytes += bytes;
  }
}

interface Held {
  readonly org: Name;
  bytes: number;
}

/** Equal trees are equal images as long as images are made by the same recipe (ruling 2). */
function isLive({ tree, current }: PlanJson): boolean {
  return current?.tree === tree && current.recipe_version === RECIPE_VERSION;
}

function existingOf(bases: readonly ReleaseRecord[], tree: Digest): Pick<PlanJson, "existing"> {
  const release = bases.find((base) => base.tree === tree);
  return release === undefined ? {} : { existing: release.version };
}
