import { z } from "zod";
import { EVENT_FORMATS, type EventFormat } from "./cd-events.ts";
import { WEBHOOK_TYPES } from "./webhooks.ts";

/** Shapes of webhooks and of the event feed in the HTTP API; the log of deliveries is in webhooks.ts. */

export interface WebhookJson {
  readonly id: string;
  readonly org: string;
  readonly project: string | null;
  readonly url: string;
  /** Empty: all types. */
  readonly types: readonly string[];
  readonly format: EventFormat;
  readonly enabled: boolean;
  readonly disabled_reason: string | null;
  readonly created_at: string;
  readonly created_by: string;
  /** Only in the answer to its creation, or to `rotate_secret`. */
  readonly secret?: string;
}

const webhookUrl = z.string().min(1);
const webhookFormat = z.enum(EVENT_FORMATS);
const webhookTypes = z
  .array(z.enum(WEBHOOK_TYPES, { error: `is none of ${WEBHOOK_TYPES.join(", ")}` }))
  .max(WEBHOOK_TYPES.length);
export const WebhookBody = z.strictObject({
  url: webhookUrl,
  project: z.string().optional(),
  types: webhookTypes.optional(),
  format: webhookFormat.optional(),
});
export const WebhookChangeBody = z.strictObject({
  url: webhookUrl.optional(),
  types: webhookTypes.optional(),
  format: webhookFormat.optional(),
  enabled: z.boolean().optional(),
  rotate_secret: z.literal(true).optional(),
});
/** From a cursor on, or one event again, by its cursor. */
export const ReplayBody = z.union([
  z.strictObject({ from: z.string() }),
  z.strictObject({ event: z.string() }),
]);

/** Where a subscriber starts whose cursor is no longer kept; also `GET /v1/events/snapshot`. */
export interface EventSnapshotJson {
  readonly cursor: string;
  readonly projects: readonly {
    readonly project: string;
    readonly current: string | null;
    readonly generation: number;
    /** Number of the project's newest event. */
    readonly event_n: number;
  }[];
  readonly next_cursor: string | null;
}
