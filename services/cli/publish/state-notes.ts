import type { PublishJson } from "../../../proto/http.ts";
import { TERMINAL_STATES } from "../../../proto/records.ts";
import type { Pasteable } from "../output/for-farm.ts";
import type { Output } from "../output/output.ts";

/** Tells how a publish goes on: each new state, and that it was begun anew, with the command that knows why. */
export function stateNotes(output: Output, pasteable: Pasteable): (now: PublishJson) => void {
  let state = "";
  let attempt = 1;
  return (now) => {
    if (TERMINAL_STATES.has(now.state)) return;
    if (now.state !== state) output.note(`${now.state}...`);
    state = now.state;
    if (now.attempt <= attempt) return;
    attempt = now.attempt;
    output.note(`attempt ${attempt}; what was in the way: ${pasteable("why", now.publish_id)}`);
  };
}
