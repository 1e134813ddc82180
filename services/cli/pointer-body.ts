import type { Flags } from "./verb-context.ts";

/** The members that activations and rollbacks have in common. @throws GranaryError USAGE */
export function pointerBody(flags: Flags<"expect-generation" | "reason">): {
  expected_generation?: number;
  reason?: string;
} {
  const generation = flags.count("expect-generation");
  const reason = flags.text("reason");
  return {
    ...(generation === undefined ? {} : { expected_generation: generation }),
    ...(reason === undefined ? {} : { reason }),
  };
}
