import type { Lane } from "../../proto/subjects.ts";

/** The lane that publishes wait in. */
export const LANE: Lane = "prod";
