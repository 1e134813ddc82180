import type { CommandValue, OrgSetCommand } from "../../../proto/commands.ts";
import { KEYS } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/** `org.set`: changes the settings that are named and keeps the others. */
export function setOrg(step: Step, body: OrgSetCommand): CommandValue {
  const { org } = step.command;
  const record = step.get(KEYS.org(org));
  if (record === undefined) return step.refuse("NOT_FOUND", `there is no org ${org}`);
  const settings = { ...record.settings, ...body.settings };
  const changed = JSON.stringify(settings) !== JSON.stringify(record.settings ?? {});
  if (changed) step.put(KEYS.org(org), { ...record, settings });
  return { type: "done", changed };
}
