import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { CommitBatch } from "../proto/commit-batch.ts";
import type { Digest } from "../proto/digest.ts";
import { GranaryError, type Outcome } from "../proto/errors.ts";
import type { WorkerData } from "../proto/worker-tasks.ts";
import type { AccountErrors } from "./account-errors.ts";
import type { Absent, MarkResult } from "./gc-mark.ts";
import type { SegmentUse } from "./gc-segments.ts";
import type { ListedArtifact } from "./heal-listings.ts";

/** What the thread of a run of GC, or of a repair, is asked. */
export interface GcCalls {
  absent: { input: { roots: Uint8Array }; output: Absent };
  mark: { input: { roots: Uint8Array; untilMs: number; foretell: boolean }; output: MarkResult };
  use: { input: undefined; output: SegmentUse[] };
  copy: { input: number; output: CommitBatch | undefined };
  heal: { input: readonly ListedArtifact[]; output: CommitBatch };
  find: { input: readonly Digest[]; output: CommitBatch };
  evacuate: { input: number; output: CommitBatch };
  accounts: { input: undefined; output: AccountErrors | undefined };
}

/** The thread of one run; one call at a time. */
export class GcThread {
  readonly #worker: Worker;
  readonly #ended: Promise<unknown>;

  constructor(data: WorkerData) {
    this.#worker = new Worker(new URL("./gc-main.js", import.meta.url), { workerData: data, name: "gc" });
    // A call that waits is told; behind the last one it changes nothing.
    this.#worker.on("error", () => undefined);
    this.#ended = new Promise((resolve) => this.#worker.once("exit", resolve));
  }

  /** @throws GranaryError as the call says; STORE_IO when the thread ends */
  async call<K extends keyof GcCalls>(call: K, input: GcCalls[K]["input"]): Promise<GcCalls[K]["output"]> {
    const done = new AbortController();
    const { signal } = done;
    this.#worker.postMessage({ call, input });
    try {
      // `once` rejects when the thread throws.
      const answer = once(this.#worker, "message", { signal });
      const ended = this.#ended.then(() => {
        throw new GranaryError("STORE_IO", "the GC thread ended without an answer");
      });
      const [outcome] = (await Promise.race([answer, ended])) as [Outcome<GcCalls[K]["output"]>];
      if (!outcome.ok) throw GranaryError.fromWire(outcome.error);
      return outcome.value;
    } finally {
      done.abort();
    }
  }

  /** Waits for the thread to end by itself: one that is ended in the middle of a call could hold the index open. */
  async close(): Promise<void> {
    this.#worker.postMessage("close");
    await this.#ended;
  }
}
