import type { Command, CommandResult } from "../../proto/commands.ts";
import type { EventRecord } from "../../proto/events.ts";
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
    const touched = new Touched();
    for (const { seq: at, timeMs, command } of batch) {
      if (at <= seq) continue;
      const onEvent = (event: EventRecord): void => touched.event(event);
      touched.command(command, applyCommand(tx, command, { seq: at, timeMs, onEvent }));
      seq = at;
    }
    for (const [key, value] of local) localTx.put(key, value);
    const { publishes, projects, orgs, nodes } = touched;
    return { seq, publishes: [...publishes], projects: [...projects.values()], orgs: [...orgs], nodes };
  });
}

/** What a group of commands may have changed. */
class Touched {
  readonly publishes = new Set<string>();
  readonly projects = new Map<string, { org: Name; project: Name }>();
  readonly orgs = new Set<Name>();
  nodes = false;

  event({ org, project, type, subject }: EventRecord): void {
    this.orgs.add(org);
    this.projects.set(`${org}/${project}`, { org, project });
    // Also those that another publish overtook, or whose preview was removed.
    if (type.startsWith("publish.")) this.publishes.add(subject);
  }

  command({ org, project, body }: Command, result: CommandResult): void {
    if (body.type === "node.set" || body.type === "project.set") this.nodes = true;
    if (project !== undefined) this.projects.set(`${org}/${project}`, { org, project });
    if ("webhook_id" in body) this.orgs.add(org);
    if ("publish_id" in body) this.publishes.add(body.publish_id);
    if (result.ok && result.value.type === "accepted") this.publishes.add(result.value.publish_id);
  }
}
