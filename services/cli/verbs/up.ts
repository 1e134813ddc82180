import { runFarm } from "../run-farm.ts";
import type { VerbHandler } from "../verb-context.ts";

/** Runs a whole farm until it is stopped. */
export const up: VerbHandler<"up"> = (context) => runFarm(context, undefined);
