import type { CommandValue, NodeSetCommand } from "../../../proto/commands.ts";
import { KEYS } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/** `node.set`: changes the settings that are named and keeps the others. Whether there is such a node is not the log's business. */
export function setNode(step: Step, body: NodeSetCommand): CommandValue {
  const key = KEYS.node(body.node);
  const before = step.get(key);
  const threads = body.threads === undefined ? before?.threads : (body.threads ?? undefined);
  const cordoned = body.cordoned ?? before?.cordoned === true;
  const changed = threads !== before?.threads || cordoned !== (before?.cordoned === true);
  if (!changed) return { type: "done", changed };
  step.put(key, {
    node: body.node,
    ...(threads !== undefined && { threads }),
    ...(cordoned && { cordoned }),
    updated_at: step.at,
    updated_by: step.command.actor,
  });
  return { type: "done", changed };
}
