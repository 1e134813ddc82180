import { z } from "zod";
import { LIMITS } from "./limits.ts";
import type { SubscriptionRecord } from "./records.ts";

/** A group of subscribers. `held` only in the answer to a claim or a commit: whether the asker is the one that reads. */
export interface SubscriptionJson extends Omit<SubscriptionRecord, "of_project"> {
  readonly project: string | null;
  readonly held?: boolean;
}

const cursor = z.string().regex(/^[0-9]{1,15}-[0-9]{1,6}$/);
const claimSeconds = z.number().min(2).max(300);
export const SubscriptionClaimBody = z.strictObject({
  holder: z
    .string()
    .min(1)
    .max(LIMITS.subscriberBytes)
    .regex(/^[\x21-\x7e]+$/),
  /** Where a new group begins; later claims go on where the group is. */
  from: z.union([z.enum(["beginning", "now"]), cursor]).optional(),
  project: z.string().optional(),
  ttl_s: claimSeconds.optional(),
});
export const SubscriptionCommitBody = z.strictObject({
  epoch: z.int().positive(),
  cursor,
  leave: z.boolean().optional(),
  ttl_s: claimSeconds.optional(),
});

/** `GET /v1/orgs/{org}/bus`: where the token that asks hears events on the bus. */
export interface BusJson {
  /** For any NATS client; any user name, the token as password. */
  readonly url: string;
  /** Widest subject that may be subscribed to. */
  readonly subject: string;
  /** Name of a queue group, and with a dot behind it the begin of more. */
  readonly queue: string;
  /** Where the feed stands: events behind it are heard by who had subscribed before. */
  readonly cursor: string;
}
