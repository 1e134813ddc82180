import type { Digest } from "../../proto/digest.ts";
import type { Roots } from "../shared/roots.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { RANGES } from "../shared/state-keys.ts";

/** Removes the roots of releases that have been retired and previews that have ended. @returns how many */
export function reconcileRoots(options: {
  roots: Roots;
  read<T>(body: (view: StateView) => T): T;
}): Promise<number> {
  return options.roots.sweep((org, project) =>
    options.read((view) => {
      const trees = new Set<Digest>();
      for (const { value } of view.range(RANGES.releases({ org, project })))
        if (value.state !== "retired") trees.add(value.tree);
      for (const { value } of view.range(RANGES.previews({ org, project })))
        if (value.state === "ready") trees.add(value.tree);
      return trees;
    }),
  );
}
