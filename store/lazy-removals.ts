import { type CommitterMessage, GROUP_REQUESTS, REMOVE_WITHIN_MS } from "./committer-protocol.ts";

/** Removals behind publishes that have ended, on their way into a group that is made durable anyway: alone each would be a sync. */
export class LazyRemovals {
  readonly #run: (group: readonly CommitterMessage[]) => void;
  #waiting: CommitterMessage[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** @param run runs what has waited long enough */
  constructor(run: (group: readonly CommitterMessage[]) => void) {
    this.#run = run;
  }

  /**
   * The group with what waits, in the order in which it came; empty when all of it may wait on.
   * @param wait false: nothing comes after this group
   */
  join(group: readonly CommitterMessage[], { wait }: { wait: boolean }): readonly CommitterMessage[] {
    this.#waiting.push(...group);
    const mayWait = wait && this.#waiting.length < GROUP_REQUESTS;
    if (mayWait && group.every(({ request }) => request.kind === "remove" && request.behind)) {
      this.#timer ??= setTimeout(() => this.#run(this.#take()), REMOVE_WITHIN_MS);
      return [];
    }
    return this.#take();
  }

  #take(): readonly CommitterMessage[] {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const taken = this.#waiting;
    this.#waiting = [];
    return taken;
  }
}
