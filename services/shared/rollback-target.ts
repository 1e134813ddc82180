import { parseVersion } from "../../proto/names.ts";
import type { ProjectRecord, ReleaseRecord } from "../../proto/records.ts";
import type { StateView } from "./state-db-tx.ts";
import { KEYS, RANGES } from "./state-keys.ts";

/** Where a rollback goes that names no target: the newest earlier activation that was never rolled back from and is still kept. */
export function rollbackTarget(view: StateView, project: ProjectRecord): ReleaseRecord | undefined {
  for (const { value: activation } of view.range(RANGES.history(project), {
    reverse: true,
    limit: ACTIVATIONS_SEARCHED,
  })) {
    if (activation.to === project.current) continue;
    const release = view.get(KEYS.release(project, parseVersion(activation.to) ?? 0));
    if (release === undefined || release.state === "retired") continue;
    if ((release.rolled_back_generation ?? 0) > activation.generation) continue;
    return release;
  }
  return undefined;
}

/** Bounds the work of one command; who needs to go back further names a version. */
const ACTIVATIONS_SEARCHED = 1_000;
