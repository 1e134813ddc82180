import { createHash } from "node:crypto";
import type { Command, CommandBody } from "../../proto/commands.ts";
import type { Name } from "../../proto/names.ts";

/**
 * A command of a sweeper. Its id follows from what it is `about`, so two sweepers that see the same send the same command, which
 * counts once; a number that grows with time among them lets it be sent anew after a refusal.
 */
export function sweepCommand(
  at: { readonly org: Name; readonly project?: Name },
  body: CommandBody,
  about: readonly unknown[],
): Command {
  const hash = createHash("sha256").update(JSON.stringify(about)).digest("hex");
  return {
    v: 1,
    id: `cmd_${hash.slice(0, 40)}`,
    actor: { kind: "system", id: "pointer" },
    org: at.org,
    ...(at.project === undefined ? {} : { project: at.project }),
    body,
  };
}
