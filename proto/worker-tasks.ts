import type { CommitBatch } from "./commit-batch.ts";
import type { Digest } from "./digest.ts";
import type { ArchiveLimits } from "./limits.ts";
import type { LogLine, SealedLog } from "./publish-log.ts";
import type { ArtifactRecord, PublishStats } from "./records.ts";
import type { BlobRange, SessionStats } from "./upload-session.ts";

/**
 * The thread protocol, whole: every task of the pool with what goes in and what comes out. Everything is structured-clone-safe
 * plain data; failures come back as an Outcome, because an Error loses class and code on its way out of a thread.
 */
export interface WorkerTasks {
  extract: { input: ExtractTask; output: ExtractResult };
  plan: { input: PlanTask; output: PlanResult };
  assemble: { input: AssembleTask; output: ExtractResult };
  materialize: { input: MaterializeTask; output: MaterializeResult };
  sealLog: { input: SealLogTask; output: SealLogResult };
  adopt: { input: AdoptTask; output: AdoptResult };
}

/** Brings the bytes of a file to the store as one blob: content that was lost and came again. */
export interface AdoptTask {
  readonly path: string;
  readonly size: number;
  /** What the file's bytes have to be. */
  readonly digest: Digest;
  readonly cell: SharedArrayBuffer;
}

export interface AdoptResult {
  readonly commit: CommitBatch;
}

/** The log that a task goes on with. */
export interface TaskLog {
  readonly attempt: number;
  readonly lines: readonly LogLine[];
  /** Each new line is told at once; transferred to the thread. */
  readonly port: { postMessage(line: LogLine): void };
}

/** Stores the log of a publish that brings nothing else. */
export interface SealLogTask {
  readonly lines: readonly LogLine[];
  readonly cell: SharedArrayBuffer;
}

export interface SealLogResult {
  readonly log: SealedLog;
  readonly commit: CommitBatch;
}

export interface ExtractTask {
  readonly archivePath: string;
  readonly uploadBytes: number;
  readonly limits: ArchiveLimits;
  readonly portableNames: boolean;
  readonly strip: number;
  /** Trees of the project's recent releases, newest first: what "reused" is measured against (ruling 8). */
  readonly baseTrees: readonly Digest[];
  /** Layers of those releases. */
  readonly baseLayers: readonly Digest[];
  readonly imageBuilds: boolean;
  readonly log: TaskLog;
  /** Where the task says what it is at, so that its owner can clean up behind a thread that died. */
  readonly cell: SharedArrayBuffer;
}

/** Reads a listing and finds out what of it the project's recent releases do not bring. Writes nothing. */
export interface PlanTask {
  /** gzip of a canonical tree. */
  readonly listing: Uint8Array;
  readonly limits: ArchiveLimits;
  readonly portableNames: boolean;
  readonly baseTrees: readonly Digest[];
  readonly cell: SharedArrayBuffer;
}

export interface PlanResult {
  readonly tree: Digest;
  /** The listing's own bytes. */
  readonly listing: Uint8Array;
  readonly missing: readonly BlobRange[];
  readonly missingBlobs: number;
  readonly missingBytes: number;
  readonly stats: SessionStats;
  readonly warnings: readonly string[];
  /** Brings nothing; says what the answer calls present, and under which epoch. */
  readonly relied: CommitBatch;
}

/** Makes the artifact of an upload session: {@link ExtractTask} for a listing and its stream. */
export interface AssembleTask {
  readonly sessionPath: string;
  readonly streamPath: string;
  /** Trees of the project's recent releases, newest first: the listing probably resembles them. */
  readonly baseTrees: readonly Digest[];
  /** Layers of the project's recent releases. */
  readonly baseLayers: readonly Digest[];
  readonly uploadBytes: number;
  readonly imageBuilds: boolean;
  readonly log: TaskLog;
  readonly cell: SharedArrayBuffer;
}

/** Makes a tree a folder of its project's roots. */
export interface MaterializeTask {
  readonly tree: Digest;
  /** Where the project's roots lie, each named for its tree (hex). */
  readonly projectDir: string;
  /** On the same file system. */
  readonly stagingDir: string;
  /** Which start of the machine this is. */
  readonly boot: string;
  readonly cell: SharedArrayBuffer;
}

export interface MaterializeResult {
  readonly path: string;
  /** It was there already. */
  readonly existing: boolean;
  readonly files: number;
  /** Files that are shared with another root, and files that were written. */
  readonly linked: number;
  readonly written: number;
  readonly writtenBytes: number;
}

export interface ExtractResult {
  readonly artifact: ArtifactRecord;
  readonly stats: PublishStats;
  readonly log: SealedLog;
  readonly commit: CommitBatch;
}

/** Indices of the Float64 cells that a task shares with its owner, who reads them when its thread has died. */
export const TASK_CELL = {
  /** The segment that the task appends to (0: none), and where that ended when the task began. */
  segmentId: 0,
  segmentStart: 1,
  /** Grows as long as the task gets on; 0: it has not begun. */
  progress: 2,
  /** The thread, and the number of its task: they name the staging files. */
  threadId: 3,
  taskNumber: 4,
  /** 1: the owner wants it to stop. */
  cancel: 5,
  /** The thread's place among those that GC watches; 0: it is in no task with this cell. */
  slot: 6,
  length: 7,
} as const;

/** What the threads of a pool get. */
export interface PoolData extends WorkerData {
  /**
   * Int32 slots: a thread that has loaded writes its id to the slot of that number (modulo their count). Node aborts the whole
   * process when a thread is ended while it loads modules or addons.
   */
  readonly loaded: SharedArrayBuffer;
}

/** What every thread gets once, as its workerData. */
export interface WorkerData {
  readonly storeDir: string;
  /** Int32 counter from which threads draw segment ids. */
  readonly segmentIds: SharedArrayBuffer;
  /** Counters and faults of the store's file-system calls (store/fs.ts). */
  readonly fsCells: SharedArrayBuffer;
  /** Which task each thread is at, and which segment it has open (store/task-slots.ts). */
  readonly taskSlots: SharedArrayBuffer;
}
