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
