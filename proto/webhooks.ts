import type { EventFormat } from "./cd-events.ts";
import { EVENT_TYPES, type EventType } from "./events.ts";
import type { Name } from "./names.ts";
import type { Actor } from "./records.ts";

/** An endpoint that an org's events are delivered to, signed as Standard Webhooks says (https://www.standardwebhooks.com). */
export interface WebhookRecord {
  readonly id: string;
  readonly org: Name;
  /** Only events of this project. */
  readonly project?: Name;
  readonly url: string;
  /** Event types and families such as `release.*`; empty: all. */
  readonly types: readonly string[];
  /** Absent: `granary`. */
  readonly format?: EventFormat;
  /** The signing secret, sealed with the farm's webhook key: see services/shared/webhook-secrets.ts. */
  readonly sealed_secret: string;
  readonly enabled: boolean;
  readonly disabled_reason?: string;
  readonly created_at: string;
  readonly created_by: Actor;
  /** Log position of its creation: deliveries begin behind it. */
  readonly created_seq: number;
  /** Log position of its last change: failures before it are forgotten. */
  readonly revision: number;
  /** What was asked for by hand, newest last; the deliverer remembers up to which it went. */
  readonly requests: readonly WebhookRequest[];
}

export type WebhookRequest = { readonly seq: number } & WebhookAsk;

/** Send a ping; go on from a cursor; send one event again, by its cursor. */
export type WebhookAsk =
  | { readonly kind: "ping" }
  | { readonly kind: "from"; readonly cursor: string }
  | { readonly kind: "event"; readonly cursor: string };

/** One attempt, as the log of deliveries keeps it. Never a body: neither what was sent nor what was answered. */
export interface WebhookDelivery {
  readonly webhook: string;
  /** `webhook-id` of the message: the event's id, or that of a ping. */
  readonly id: string;
  readonly type: string;
  readonly cursor: string | null;
  readonly at: string;
  /** Which attempt of this event it was, from 1. */
  readonly attempt: number;
  readonly result: "delivered" | "failed" | "given_up";
  readonly status: number | null;
  readonly error: string | null;
  readonly duration_ms: number;
  readonly next_attempt_at: string | null;
}

/** Whether an event of this type is wanted. */
export function wantsType(types: readonly string[], type: EventType): boolean {
  return types.length === 0 || types.includes(type) || types.includes(`${type.split(".")[0]}.*`);
}

/** What `types` may hold: each event type, and each family. */
export const WEBHOOK_TYPES: readonly string[] = [
  ...Object.keys(EVENT_TYPES),
  ...new Set(Object.keys(EVENT_TYPES).map((type) => `${type.split(".")[0]}.*`)),
];
