import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { z } from "zod";
import type { ScrubJson } from "../../proto/http-store.ts";
import type { ScrubSettings } from "../../proto/settings.ts";
import type { Finding } from "../../store/check-content.ts";
import type { Store } from "../../store/store.ts";
import type { Log } from "../shared/log.ts";

const CHECK_MS = 5_000;
/** After a failure, such as a disk that answers with errors. */
const PAUSE_MS = 10 * 60_000;

const Pass = z.object({
  started_at: z.string(),
  checked: z.number(),
  bytes: z.number(),
  found: z.object({
    corrupt: z.number(),
    missing: z.number(),
    misframed: z.number(),
    broken_rows: z.number(),
    broken_segments: z.number(),
    // Not in what an earlier version has written.
    wrong_accounts: z.number().default(0),
    broken_roots: z.number().default(0),
  }),
});
const ScrubFile = z.object({
  /** Of the pass that is under way, and where it is. */
  pass: Pass.extend({ cursor: z.string().optional() }).nullable(),
  last: Pass.extend({ ended_at: z.string() }).nullable(),
});
type ScrubFile = z.infer<typeof ScrubFile>;

interface Options {
  readonly store: Pick<Store, "scrub">;
  readonly settings: ScrubSettings;
  /** Where the position is kept, so that a restart goes on there. */
  readonly file: string;
  readonly log: Log;
  now(): number;
}

/**
 * Reads this node's whole store again and again, slowly: one pass every `scrub_interval` at `scrub_rate`. What is damaged is marked, so
 * that it is never served and heals when it is published again. The position survives restarts.
 */
export class Scrubber {
  readonly #options: Options;
  readonly #closing = new AbortController();
  #state: ScrubFile;
  #running: Promise<void> | undefined;
  #pausedUntilMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#state = readState(options.file) ?? { pass: null, last: null };
  }

  get status(): ScrubJson {
    const { settings } = this.#options;
    const { pass, last } = this.#state;
    const { cursor = "", ...counts } = pass ?? { cursor: "" };
    return {
      state: settings.rateBytes === undefined ? "off" : this.#running === undefined ? "waiting" : "running",
      rate_bytes: settings.rateBytes ?? null,
      pass:
        pass === null ? null : { ...(counts as ScrubJson["pass"] & object), progress: progressOf(cursor) },
      last,
    };
  }

  start(): void {
    this.#timer ??= setInterval(() => this.tick(), CHECK_MS);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closing.abort();
    await this.#running;
  }

  /** Begins a pass, or goes on with one, if it is time. */
  tick(): void {
    const { settings, now } = this.#options;
    const { rateBytes, intervalMs } = settings;
    if (rateBytes === undefined || this.#running !== undefined || now() < this.#pausedUntilMs) return;
    const { pass, last } = this.#state;
    if (pass === null && last !== null && now() - Date.parse(last.started_at) < intervalMs) return;
    this.#running = this.#run(rateBytes).finally(() => {
      this.#running = undefined;
    });
  }

  async #run(rateBytes: number): Promise<void> {
    const { store, log, now } = this.#options;
    const pass = this.#state.pass ?? {
      started_at: new Date(now()).toISOString(),
      checked: 0,
      bytes: 0,
      found: {
        corrupt: 0,
        missing: 0,
        misframed: 0,
        broken_rows: 0,
        broken_segments: 0,
        wrong_accounts: 0,
        broken_roots: 0,
      },
    };
    this.#state = { ...this.#state, pass };
    try {
      const whole = await store.scrub({
        ...(pass.cursor !== undefined && { from: pass.cursor }),
        rateBytes,
        signal: this.#closing.signal,
        onFound: ({ kind }) => {
          pass.found[COUNTER[kind]] += 1;
        },
        onProgress: ({ cursor, checked, bytes }) => {
          pass.cursor = cursor;
          pass.checked += checked;
          pass.bytes += bytes;
          this.#save();
        },
      });
      if (whole) this.#finish(pass);
    } catch (error) {
      this.#pausedUntilMs = now() + PAUSE_MS;
      log.warn({ err: error }, "the scrub of the store was broken off; it goes on later");
    }
  }

  #finish({ cursor: _, ...pass }: NonNullable<ScrubFile["pass"]>): void {
    const { log, now } = this.#options;
    const last = { ...pass, ended_at: new Date(now()).toISOString() };
    this.#state = { pass: null, last };
    this.#save();
    const total = Object.values(pass.found).reduce((sum, count) => sum + count, 0);
    if (total === 0) log.info({ scrub: last }, "the whole store was read and verified");
    else log.error({ scrub: last }, "damage was found in the store: see `granary store fsck --repair`");
  }

  /** A position that is lost costs reading again: not worth a sync. */
  #save(): void {
    const { file, log } = this.#options;
    try {
      writeFileSync(`${file}.new`, JSON.stringify(this.#state), { mode: 0o600 });
      renameSync(`${file}.new`, file);
    } catch (error) {
      log.warn({ err: error, file }, "the position of the scrub could not be kept");
    }
  }
}

const COUNTER = {
  corrupt: "corrupt",
  missing: "missing",
  misframed: "misframed",
  row: "broken_rows",
  segment: "broken_segments",
  account: "wrong_accounts",
  root: "broken_roots",
} as const satisfies Record<Finding["kind"], string>;

/** From 0 to 1: rows come in the order of their keys, and nearly all of the work is that of blobs, which come first. */
function progressOf(cursor: string): number {
  if (cursor === "") return 0;
  if (!cursor.startsWith("62")) return 1;
  return Math.round((Number.parseInt(cursor.slice(2, 6).padEnd(4, "0"), 16) / 0x10000) * 1_000) / 1_000;
}

/** undefined when there is none that can be read: then a pass begins anew. */
function readState(file: string): ScrubFile | undefined {
  try {
    return ScrubFile.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    return undefined;
  }
}
