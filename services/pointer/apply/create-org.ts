import type { CommandValue } from "../../../proto/commands.ts";
import { KEYS } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/** `org.create`: an org that is there stays as it is. */
export function createOrg(step: Step): CommandValue {
  const { org, actor } = step.command;
  if (step.get(KEYS.org(org)) !== undefined) return { type: "done", changed: false };
  step.put(KEYS.org(org), { org, created_at: step.at, created_by: actor });
  return { type: "done", changed: true };
}
