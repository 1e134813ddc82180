import type { Actor } from "./records.ts";

/** An actor as people read it: `token:tok_01...`, `system:relay`. */
export function actorText(actor: Actor): string {
  return `${actor.kind}:${actor.id}`;
}
