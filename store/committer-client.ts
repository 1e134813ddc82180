import { Worker } from "node:worker_threads";
import { GranaryError } from "../proto/errors.ts";
import { asGranaryError } from "./as-granary-error.ts";
import type {
  CollectResult,
  CollectStep,
  CommitterData,
  CommitterMessage,
  CommitterReport,
  CommitterRequest,
} from "./committer-protocol.ts";

type Opened = Extract<CommitterReport, { type: "opened" }>;

interface Waiting {
  readonly resolve: (collected: CollectResult | undefined) => void;
  readonly reject: (error: GranaryError) => void;
}

/** The main thread's end of the committer: sends requests, settles their promises. */
export class CommitterClient {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #onCommitted: () => void;
  readonly #onFailed: (error: GranaryError) => void;
  readonly #closed: Promise<void>;
  #nextId = 1;
  #failed: GranaryError | undefined;
  #closing = false;
  #onDrained: (() => void) | undefined;

  private constructor(worker: Worker, options: CommitterOptions) {
    this.#worker = worker;
    this.#onCommitted = options.onCommitted;
    this.#onFailed = options.onFailed;
    worker.on("message", (report: CommitterReport) => this.#receive(report));
    worker.on("error", (error) => {
      this.#fail(
        new GranaryError("STORE_IO", `the committer thread died: ${error.message}`, {}, { cause: error }),
      );
    });
    this.#closed = new Promise((resolve) => {
      worker.once("exit", () => {
        if (!this.#closing || this.#waiting.size > 0)
          this.#fail(new GranaryError("STORE_IO", "the committer thread ended"));
        resolve();
      });
    });
    // Alone it keeps no process alive, requests under way do. After the listeners: adding them refs the port again.
    worker.unref();
  }

  /** Starts the thread and waits until the store is recovered. @throws GranaryError as the recovery says */
  static async start(
    data: CommitterData,
    options: CommitterOptions,
  ): Promise<{ client: CommitterClient; opened: Opened }> {
    const worker = new Worker(new URL("./committer-main.js", import.meta.url), {
      workerData: data,
      name: "committer",
    });
    const opened = await new Promise<Opened>((resolve, reject) => {
      worker.once("message", (report: CommitterReport) => {
        if (report.type === "opened") resolve(report);
        else
          reject(
            report.type === "refused"
              ? GranaryError.fromWire(report.error)
              : new RangeError(`unexpected ${report.type}`),
          );
      });
      worker.once("error", (error) => reject(asGranaryError(error)));
      worker.once("exit", () =>
        reject(new GranaryError("STORE_IO", "the committer thread ended while opening the store")),
      );
    });
    worker.removeAllListeners("exit").removeAllListeners("error");
    return { client: new CommitterClient(worker, options), opened };
  }

  /** Why every request is refused; undefined while all is well. */
  get failed(): GranaryError | undefined {
    return this.#failed;
  }

  /** Resolves once the request's effect is durable. @throws GranaryError */
  async request(request: Exclude<CommitterRequest, { kind: "collect" }>): Promise<void> {
    await this.#ask(request);
  }

  /** {@link CommitterClient.request} for a step of GC. */
  async collect(step: CollectStep): Promise<CollectResult> {
    const collected = await this.#ask({ kind: "collect", step });
    if (collected === undefined) throw new RangeError(`step ${step.do} was not answered`);
    return collected;
  }

  #ask(request: CommitterRequest): Promise<CollectResult | undefined> {
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    if (this.#closing) return Promise.reject(new GranaryError("UNAVAILABLE", "the store is closing"));
    const message: CommitterMessage = { id: this.#nextId, request };
    this.#nextId += 1;
    return new Promise((resolve, reject) => {
      if (this.#waiting.size === 0) this.#worker.ref();
      this.#waiting.set(message.id, { resolve, reject });
      this.#worker.postMessage(message);
    });
  }

  /** Refuses new requests and waits for those that were made. */
  async drain(): Promise<void> {
    this.#closing = true;
    if (this.#waiting.size > 0) await new Promise<void>((resolve) => (this.#onDrained = resolve));
  }

  /** Waits for the requests that were made, then ends the thread. */
  async close(): Promise<void> {
    await this.drain();
    this.#worker.ref();
    this.#worker.postMessage("close");
    await this.#closed;
  }

  #receive(report: CommitterReport): void {
    if (report.type !== "answers") return;
    // Readers on this thread must see what they were told is committed.
    this.#onCommitted();
    for (const { id, error, collected } of report.answers) {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(collected);
      else waiting?.reject(GranaryError.fromWire(error));
    }
    if (report.failed !== undefined) this.#fail(GranaryError.fromWire(report.failed));
    if (this.#waiting.size > 0) return;
    this.#worker.unref();
    this.#onDrained?.();
  }

  #fail(error: GranaryError): void {
    if (this.#failed !== undefined) return;
    this.#failed = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.#onDrained?.();
    this.#onFailed(error);
  }
}

interface CommitterOptions {
  /** Called before commits are answered. */
  readonly onCommitted: () => void;
  /** Called once, when nothing can be committed any more: the process has to start anew. */
  readonly onFailed: (error: GranaryError) => void;
}
