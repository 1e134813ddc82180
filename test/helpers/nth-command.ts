import type { CommandBody } from "../../proto/commands.ts";
import { digestOf } from "../../proto/digest.ts";
import type { Name } from "../../proto/names.ts";
import type { LogEntry } from "../../services/shared/bus.ts";

/** The same log for everybody: a publish, then holds, each of which leaves an event, audit and result rows. */
export function nthCommand(n: number): LogEntry {
  const first: CommandBody = {
    type: "accept",
    publish_id: "pub_1",
    upload: { digest: digestOf("one"), size: 3 },
    channel: "production",
    commit: null,
    activate: true,
    create: { org: true, project: true },
  };
  const body: CommandBody = n === 1 ? first : { type: "hold", reason: `reason ${n}` };
  const at = { org: "acme" as Name, project: "bot" as Name };
  const command = { v: 1, id: `cmd_${n}`, actor: { kind: "token", id: "tok_1" }, ...at, body } as const;
  return { seq: n, timeMs: 1_767_225_600_000 + n, command };
}
