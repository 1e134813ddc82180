import { existsSync } from "node:fs";
import { GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import type { Name } from "../../proto/names.ts";
import {
  type BlobRange,
  encodeSessionHead,
  publishIdOf,
  sessionIdOf,
  type UploadSession,
} from "../../proto/upload-session.ts";
import type { Store } from "../../store/store.ts";
import type { ResumableUpload } from "../../store/upload.ts";
import { newId } from "../shared/submit-command.ts";
import { readSession } from "./read-session.ts";

/** A session as requests find it. */
export interface FoundSession {
  readonly id: string;
  /** The publish that it becomes. */
  readonly publishId: string;
  readonly session: UploadSession;
}

interface Options {
  readonly store: Store;
  now(): number;
  /** Sessions of one org; {@link LIMITS.uploadSessionsPerOrg} unless it is said. */
  readonly limit?: number;
}

/**
 * Upload sessions of this farm, as files of the inbox: the listing under the session's id, the stream under that of the publish
 * which the session becomes, each held by a lease until the session expires or its publish has ended.
 */
export class UploadSessions {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #limit: number;
  /**
   * Possibly open sessions by org, and when they were last asked for, the longest ago first; those that have ended are noticed when the
   * limit is reached.
   */
  readonly #ofOrg = new Map<Name, Map<string, number>>();

  constructor(options: Options) {
    this.#store = options.store;
    this.#now = options.now;
    this.#limit = options.limit ?? LIMITS.uploadSessionsPerOrg;
    for (const { id } of options.store.listUploads()) {
      const session = publishIdOf(id) === undefined ? undefined : this.#read(id);
      if (session !== undefined) this.#sessionsOf(session.org).set(id, this.#now());
    }
  }

  /** Durable when this resolves. @throws GranaryError RATE_LIMITED, STORE_FULL, STORE_IO */
  async create(
    about: Omit<UploadSession, "v" | "expires_at">,
    content: { missing: readonly BlobRange[]; listing: Uint8Array },
  ): Promise<FoundSession> {
    await this.#makeRoom(about.org);
    const publishId = newId("pub");
    const id = sessionIdOf(publishId);
    const expiresAt = new Date(this.#now() + LIMITS.uploadSessionMs).toISOString();
    const session: UploadSession = { v: 1, ...about, expires_at: expiresAt };
    const upload = await this.#store.openUpload(id);
    try {
      await upload.write(encodeSessionHead(session, content.missing));
      await upload.write(content.listing);
      await upload.seal({ leaseMs: LIMITS.uploadSessionMs, alsoHeld: [publishId] });
    } catch (error) {
      await upload.abort();
      throw error;
    }
    this.#sessionsOf(about.org).set(id, this.#now());
    return { id, publishId, session };
  }

  /** @throws GranaryError SESSION_UNKNOWN; other orgs' and projects' sessions answer like those that never were */
  find(id: string, where: { org: Name; project: Name }): FoundSession {
    const publishId = publishIdOf(id);
    const session = publishId === undefined ? undefined : this.#read(id);
    if (
      publishId === undefined ||
      session === undefined ||
      session.org !== where.org ||
      session.project !== where.project ||
      Date.parse(session.expires_at) <= this.#now()
    )
      throw new GranaryError("SESSION_UNKNOWN", `there is no upload session ${id.slice(0, 80)}`);
    const found = { id, publishId, session };
    this.touch(found);
    return found;
  }

  /** Somebody is at work in the session. */
  touch({ id, session }: FoundSession): void {
    const sessions = this.#sessionsOf(session.org);
    if (sessions.delete(id)) sessions.set(id, this.#now());
  }

  /** Length of what has arrived of the stream. */
  offset({ publishId, session }: FoundSession): number {
    return this.isSealed(publishId) ? session.missing_bytes : this.#store.partialSize(publishId);
  }

  isSealed(publishId: string): boolean {
    return existsSync(this.#store.uploadPath(publishId));
  }

  /** Opens the stream behind what has arrived; from then on it survives this process: its lease came with that of the listing. */
  async openStream({ publishId, session }: FoundSession): Promise<ResumableUpload> {
    // One that an older version began has none yet.
    if (this.#store.leaseUntilMs(publishId) === undefined)
      await this.#store.acquireLease(publishId, Date.parse(session.expires_at) - this.#now());
    return this.#store.resumeUpload(publishId);
  }

  /**
   * Makes listing and stream durable until their publish has ended, however long that takes.
   * @throws GranaryError UPLOAD_OFFSET when the stream is not complete, STORE_FULL, STORE_IO
   */
  async seal(found: FoundSession): Promise<void> {
    const { id, publishId, session } = found;
    const held = { leaseMs: Number.POSITIVE_INFINITY };
    const offset = this.offset(found);
    if (offset !== session.missing_bytes) throw wrongOffset(offset, session.missing_bytes);
    if (session.missing_bytes === 0 || this.isSealed(publishId))
      return this.#store.acquireLease(id, held.leaseMs);
    await (await this.#store.resumeUpload(publishId)).seal({ ...held, alsoHeld: [id] });
  }

  async remove({ id, publishId, session }: FoundSession): Promise<void> {
    this.#sessionsOf(session.org).delete(id);
    await this.#store.removeUploads([id, publishId], { behind: false });
  }

  /** One that was left behind goes, if need be: its client, should it come back, plans again. @throws GranaryError RATE_LIMITED */
  async #makeRoom(org: Name): Promise<void> {
    const sessions = this.#sessionsOf(org);
    if (sessions.size < this.#limit) return;
    for (const id of sessions.keys()) if (!existsSync(this.#store.uploadPath(id))) sessions.delete(id);
    if (sessions.size < this.#limit) return;
    const left = this.#leftBehind(sessions);
    if (left === undefined)
      throw new GranaryError("RATE_LIMITED", `${sessions.size} upload sessions of ${org} are open`, {
        limit: this.#limit,
        retry_after_s: 60,
      });
    sessions.delete(left.id);
    await this.#store.removeUploads([left.id, left.publishId], { behind: false });
  }

  #leftBehind(sessions: ReadonlyMap<string, number>): { id: string; publishId: string } | undefined {
    const untilMs = this.#now() - LIMITS.uploadSessionIdleMs;
    for (const [id, askedMs] of sessions) {
      if (askedMs > untilMs) return undefined;
      const publishId = publishIdOf(id);
      // What was committed stays until its publish has ended.
      const committed = this.#store.leaseUntilMs(id) === Number.POSITIVE_INFINITY;
      if (publishId !== undefined && !committed) return { id, publishId };
    }
    return undefined;
  }

  #sessionsOf(org: Name): Map<string, number> {
    const known = this.#ofOrg.get(org) ?? new Map<string, number>();
    this.#ofOrg.set(org, known);
    return known;
  }

  /** undefined when there is none that could be committed. */
  #read(id: string): UploadSession | undefined {
    return readSession(this.#store.uploadPath(id));
  }
}

export function wrongOffset(offset: number, size: number): GranaryError {
  return new GranaryError("UPLOAD_OFFSET", `the stream has arrived up to byte ${offset} of ${size}`, {
    offset,
    size,
  });
}
