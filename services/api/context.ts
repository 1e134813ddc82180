import type { Command, CommandResult } from "../../proto/commands.ts";
import type { NodeJson } from "../../proto/http.ts";
import type { GcJson, GcRunJson, ScrubJson } from "../../proto/http-store.ts";
import type { ArchiveLimits } from "../../proto/limits.ts";
import type { GcSettings } from "../../proto/settings.ts";
import type { WebhookDelivery } from "../../proto/webhooks.ts";
import type { Store } from "../../store/store.ts";
import type { WorkerPool } from "../../workers/pool.ts";
import type { Barrier } from "../shared/barrier.ts";
import type { Log } from "../shared/log.ts";
import type { PublishLogs } from "../shared/publish-logs.ts";
import type { Replica } from "../shared/replica.ts";
import type { Roots } from "../shared/roots.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import type { SecretBox } from "../shared/webhook-secrets.ts";
import type { Resolve } from "../shared/webhook-target.ts";

/** What the routes need of the farm around them. */
export interface ApiContext {
  readonly store: Store;
  readonly dataDir: string;
  readonly pool: Pick<WorkerPool, "run">;
  readonly publishLogs: Pick<PublishLogs, "lines" | "onLine">;
  readonly roots: Pick<Roots, "materialize">;
  readonly replica: Pick<
    Replica,
    "onApplied" | "appliedSeq" | "compared" | "snapshots" | "copyState" | "health" | "waitForSeq"
  >;
  /** Before it resolves, everything acknowledged earlier is applied here: for reads that must not be outdated. */
  readonly barrier: Barrier;
  readonly limits: ArchiveLimits;
  /** Issuers of id tokens that admins of an org may trust. */
  readonly oidcIssuers: readonly string[];
  readonly log: Log;
  readonly version: string;
  /** Reads one moment of the state: answers that belong together are taken in one call. */
  read<T>(body: (view: StateView) => T): T;
  /** Appends a command and answers with its result. @throws GranaryError OUTCOME_UNKNOWN, UNAVAILABLE */
  submit(command: Command): Promise<CommandResult>;
  now(): number;
  /** Base URL of this api and public name of its registry, for links and image references. */
  url(): string;
  publicName(): string;
  /** @throws GranaryError UNAVAILABLE when a token may have been revoked elsewhere and nobody has heard of it here */
  assertConfirmed(): void;
  /** @throws GranaryError STORE_FULL when the disk has no room for another upload, of so many bytes where that is known */
  assertRoom(bytes?: number): void;
  /** Parts that are not well, by name; empty when the farm takes publishes. */
  problems(): readonly string[];
  nodes(): readonly NodeJson[];
  /** @throws GranaryError UNAVAILABLE without a current state, STATE_CONFLICT beside another run or a backup, STORE_* */
  collectGarbage(options: { dryRun: boolean; graceMs: number }): Promise<GcJson>;
  /** The last garbage collection since the start, and the size that the store should keep to. */
  lastGc(): GcRunJson | null;
  /** Where the background check of the store is. */
  scrub(): ScrubJson;
  /** Of automatic collections. */
  readonly gc: Pick<GcSettings, "budgetBytes" | "graceMs">;
  /** Aborts when the server closes: answers that wait for something end then. */
  readonly closing: AbortSignal;
  /** Where subscribers connect to the bus, and whether they are let in now. */
  readonly bus: { readonly url: string; open(): boolean };
  readonly webhooks: {
    readonly secrets: Pick<SecretBox, "seal" | "derive">;
    readonly target: { readonly allowPrivate: boolean; readonly resolve: Resolve };
    deliveries(org: string, webhookId: string): Promise<readonly WebhookDelivery[]>;
  };
}
