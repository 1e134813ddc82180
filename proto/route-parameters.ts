import { z } from "zod";
import { EVENT_FORMATS } from "./cd-events.ts";
import { LIMITS } from "./limits.ts";

/** Parameters that many routes take, as `/openapi.json` tells them. */
export const flag = (description: string): z.ZodType => z.boolean().describe(description);
export const text = (description: string): z.ZodType => z.string().describe(description);
export const whole = (min: number, max: number, description: string): z.ZodType =>
  z.int().min(min).max(max).describe(description);

export const PAGE = {
  limit: whole(1, LIMITS.pageItems, "Rows of the page; 50 unless given."),
  cursor: text("`next_cursor` of the page before."),
};

export const FORMAT = {
  format: z
    .enum(EVENT_FORMATS)
    .describe("The vocabulary that events are told in: ours when absent, or that of CDEvents."),
};
