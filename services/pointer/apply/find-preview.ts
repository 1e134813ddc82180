import type { Name } from "../../../proto/names.ts";
import type { PreviewRecord } from "../../../proto/records.ts";
import { KEYS } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

/** A living preview of the opened project. Refuses with NOT_FOUND: one that has ended is only history. */
export function findPreview(step: Step, name: Name): PreviewRecord {
  const project = step.openProject();
  const preview = step.get(KEYS.preview(project, name));
  if (preview?.state === "ready") return preview;
  const why = preview === undefined ? "" : `: it was ${preview.state} at ${preview.ended_at ?? ""}`;
  return step.refuse(
    "NOT_FOUND",
    `there is no preview ${project.org}/${project.project}@preview/${name}${why}`,
  );
}
