import { join } from "node:path";
import { type Digest, digestHex } from "../proto/digest.ts";

/** Where things lie below the store's folder. */
export class StorePaths {
  readonly root: string;
  readonly format: string;
  readonly inbox: string;
  readonly packs: string;
  readonly big: string;
  readonly staging: string;
  readonly quarantine: string;
  readonly index: string;
  readonly indexFile: string;
  /** Given back to a full disk for garbage collection. */
  readonly ballast: string;

  constructor(root: string) {
    this.root = root;
    this.format = join(root, "format");
    this.inbox = join(root, "inbox");
    this.packs = join(root, "packs");
    this.big = join(root, "big");
    this.staging = join(root, "staging");
    this.quarantine = join(root, "quarantine");
    this.index = join(root, "index");
    this.indexFile = indexFileIn(this.index);
    this.ballast = join(root, "ballast");
  }

  /** All folders of a store, parents first. */
  get folders(): readonly string[] {
    const prefixes = Array.from({ length: 256 }, (_, byte) =>
      join(this.big, byte.toString(16).padStart(2, "0")),
    );
    return [this.inbox, this.packs, this.staging, this.quarantine, this.index, this.big, ...prefixes];
  }

  segment(id: number): string {
    return join(this.packs, segmentName(id));
  }

  bigFolder(digest: Digest): string {
    return join(this.big, digestHex(digest).slice(0, 2));
  }

  bigFile(digest: Digest): string {
    return join(this.bigFolder(digest), digestHex(digest));
  }

  staged(name: string): string {
    return join(this.staging, name);
  }

  upload(uploadId: string): string {
    return join(this.inbox, uploadId);
  }

  /** An upload that is still being written. */
  partialUpload(uploadId: string): string {
    return join(this.inbox, uploadId + PARTIAL_SUFFIX);
  }
}

export const PARTIAL_SUFFIX = ".part";

export function indexFileIn(folder: string): string {
  return join(folder, "index.mdb");
}

export function segmentName(id: number): string {
  return `${id.toString(16).padStart(8, "0")}.pack`;
}

/** The id in a segment's file name; undefined for other names. */
export function segmentIdOf(name: string): number | undefined {
  return /^[0-9a-f]{8}\.pack$/.test(name) ? Number.parseInt(name.slice(0, 8), 16) : undefined;
}

/** Prefix of the staging files of one task. */
export function stagingPrefix(task: { threadId: number; taskNumber: number }): string {
  return `${process.pid}-${task.threadId}-${task.taskNumber}-`;
}
