import fs from "node:fs";
import { GranaryError } from "../proto/errors.ts";
import type { CommitterClient } from "./committer-client.ts";
import type { StoreFs } from "./fs.ts";
import type { IndexView } from "./index-view.ts";
import { PARTIAL_SUFFIX, type StorePaths } from "./store-paths.ts";
import { openUpload, type ResumableUpload, resumeUpload, type Upload } from "./upload.ts";

/** Ids name files and leases. */
const ID = /^[A-Za-z0-9_-]{1,128}$/;

interface InboxParts {
  readonly paths: StorePaths;
  readonly fs: StoreFs;
  readonly view: IndexView;
  readonly committer: CommitterClient;
  readonly now: () => number;
}

interface OpenUpload {
  size(): number;
  close(): Promise<void>;
}

/** Uploads from their first byte until their publish is over: each file lives while the lease of its id does. */
export class Inbox {
  readonly #parts: InboxParts;
  /** Being written; undefined while the file is being created. */
  readonly #open = new Map<string, OpenUpload | undefined>();
  /** Of sealed uploads. */
  readonly #sizes: Map<string, number>;
  #bytes: number;

  /** The recovery has left only leased uploads. */
  constructor(parts: InboxParts) {
    this.#parts = parts;
    this.#sizes = new Map(this.list().map(({ id, size }) => [id, size]));
    this.#bytes = [...this.#sizes.values()].reduce((sum, size) => sum + size, 0);
  }

  /** Bytes of sealed uploads. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @throws GranaryError STATE_CONFLICT while another upload of that id is open, STORE_FULL, STORE_IO */
  openUpload(uploadId: string): Promise<Upload> {
    return this.#openAs(uploadId, openUpload, (upload) => upload.abort());
  }

  /**
   * A stream that outlives its connection, and the process while a lease of its id does.
   * @throws GranaryError STATE_CONFLICT while it is open, STORE_FULL, STORE_IO
   */
  resumeUpload(uploadId: string): Promise<ResumableUpload> {
    return this.#openAs(uploadId, resumeUpload, (upload) => upload.pause());
  }

  /** Bytes of a stream that is not sealed; 0 when there are none. */
  partialSize(uploadId: string): number {
    checkId(uploadId);
    const path = this.#parts.paths.partialUpload(uploadId);
    return this.#open.get(uploadId)?.size() ?? fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  }

  async #openAs<T extends Upload | ResumableUpload>(
    uploadId: string,
    open: (parts: Parameters<typeof openUpload>[0]) => Promise<T>,
    close: (upload: T) => Promise<void>,
  ): Promise<T> {
    checkId(uploadId);
    if (this.#open.has(uploadId))
      throw new GranaryError("STATE_CONFLICT", `upload ${uploadId} is being written`);
    const { paths, committer, now } = this.#parts;
    this.#open.set(uploadId, undefined);
    try {
      const upload = await open({
        uploadId,
        partialPath: paths.partialUpload(uploadId),
        path: paths.upload(uploadId),
        fs: this.#parts.fs,
        commit: ({ size, leaseMs, alsoHeld = [], bytes }) =>
          committer.request({
            kind: "seal",
            uploadId,
            size,
            untilMs: now() + leaseMs,
            alsoHeld,
            ...(bytes === undefined ? {} : { bytes }),
          }),
        onEnd: (sealed) => {
          if (sealed !== undefined) this.#remember(uploadId, sealed);
          this.#open.delete(uploadId);
        },
      });
      this.#open.set(uploadId, { size: () => upload.size, close: () => close(upload) });
      return upload;
    } catch (error) {
      this.#open.delete(uploadId);
      throw error;
    }
  }

  /** Where a sealed upload lies. */
  path(uploadId: string): string {
    checkId(uploadId);
    return this.#parts.paths.upload(uploadId);
  }

  /** Sealed uploads. */
  list(): { id: string; size: number }[] {
    const { paths } = this.#parts;
    return fs
      .readdirSync(paths.inbox)
      .filter((name) => !name.endsWith(PARTIAL_SUFFIX))
      .map((id) => ({ id, size: fs.statSync(paths.upload(id), { throwIfNoEntry: false })?.size ?? 0 }));
  }

  /** Ends the leases, then removes the files; a crash in between leaves them to the next sweep. Does nothing where one is gone. */
  async remove(uploadIds: readonly string[], { behind }: { behind: boolean }): Promise<void> {
    for (const id of uploadIds) checkId(id);
    await this.#parts.committer.request({ kind: "remove", uploadIds, behind });
    for (const id of uploadIds) {
      this.#forget(id);
      if (!this.#open.has(id)) await this.#dropPartial(id);
    }
  }

  /** Removes uploads without a live lease, sealed ones and streams that broke off. Answers how many. */
  async sweep(): Promise<number> {
    const { paths, view, now } = this.#parts;
    let removed = 0;
    for (const name of fs.readdirSync(paths.inbox)) {
      if (!name.endsWith(PARTIAL_SUFFIX)) continue;
      const id = name.slice(0, -PARTIAL_SUFFIX.length);
      if (this.#open.has(id) || (view.leaseUntilMs(id) ?? 0) > now()) continue;
      await this.#dropPartial(id);
      removed += 1;
    }
    for (const { id } of this.list()) {
      if (this.#open.has(id) || (view.leaseUntilMs(id) ?? 0) > now()) continue;
      const path = this.path(id);
      await this.#parts.fs.runAsync("inbox.unlink", path, () => fs.promises.rm(path, { force: true }));
      this.#forget(id);
      removed += 1;
    }
    return removed;
  }

  /** Aborts what is still being written; streams that may go on keep what they have. */
  async close(): Promise<void> {
    for (const upload of [...this.#open.values()]) await upload?.close();
  }

  async #dropPartial(id: string): Promise<void> {
    const path = this.#parts.paths.partialUpload(id);
    if (!fs.existsSync(path)) return;
    await this.#parts.fs.runAsync("inbox.unlink", path, () => fs.promises.rm(path, { force: true }));
  }

  #remember(id: string, size: number): void {
    this.#forget(id);
    this.#sizes.set(id, size);
    this.#bytes += size;
  }

  #forget(id: string): void {
    this.#bytes -= this.#sizes.get(id) ?? 0;
    this.#sizes.delete(id);
  }
}

export function checkId(id: string): void {
  if (!ID.test(id)) throw new GranaryError("NAME_INVALID", `not an id: ${JSON.stringify(id.slice(0, 80))}`);
}
