import type { Name } from "../../proto/names.ts";
import type { LogEntry } from "../shared/bus.ts";
import type { Applied } from "../shared/replica-messages.ts";
import type { StateWriter } from "../shared/state-db.ts";
import { KEYS } from "../shared/state-keys.ts";
import { applyCommand } from "./apply/apply-command.ts";

/**
 * Applies a group of commands in one transaction, so that a burst costs one fsync. What was applied before is skipped: a
 * reconnected follower may repeat. `local` rows of this copy go along.
 * @throws GranaryError what {@link applyCommand} halts on; then nothing of the group was applied
 */
export function applyBatch(
  writer: StateWriter,
  batch: readonly LogEntry[],
  local: Iterable<readonly [key: string, value: string]> = [],
): Applied {
  return writer.transact((tx, localTx) => {
    let seq = tx.get(KEYS.meta())?.seq ?? 0;
    const publishes = new Set<string>();
    const projects = new Map<string, { org: Name; project: Name }>();
    const orgs = new Set<Name>();
    for (const { seq: at, timeMs, command } of batch) {
      if (at <= seq) continue;
      const result = applyCommand(tx, command, {
        seq: at,
        timeMs,
        onEvent: (event) => {
          orgs.add(event.org);
          // Also those that another publish overtook, or whose preview was removed.
          if (event.type.startsWith("publish.")) publishes.add(event.subject);
          projects.set(`${event.org}/${event.project}`, { org: event.org, project: event.project });
        },
      });
      seq = at;
      const { org, project, body } = command;
      if (project !== undefined) projects.set(`${org}/${project}`, { org, project });
      if ("publish_id" in body) publishes.add(body.publish_id);
      if (result.ok && result.value.type === "accepted") publishes.add(result.value.publish_id);
    }
    for (const [key, value] of local) localTx.put(key, value);
    return { seq, publishes: [...publishes], projects: [...projects.values()], orgs: [...orgs] };
  });
}
