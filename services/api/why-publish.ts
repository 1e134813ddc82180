import { actorText } from "../../proto/actor-text.ts";
import { previewOf } from "../../proto/channel.ts";
import { ERROR_CODES, isErrorCode } from "../../proto/errors.ts";
import type { NodeJson } from "../../proto/http.ts";
import type { WhyReasonJson } from "../../proto/http-why.ts";
import { LIMITS } from "../../proto/limits.ts";
import { parseVersion } from "../../proto/names.ts";
import type { PublishRecord } from "../../proto/records.ts";
import { LANES } from "../../proto/subjects.ts";
import { findAudit } from "../shared/find-audit.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { KEYS, RANGES } from "../shared/state-keys.ts";
import { findPreview, findProject, findPublish, findRelease } from "../shared/state-queries.ts";
import { toSecond, type Why, whyPreview, whyRelease } from "./why-release.ts";

/** What there is to know of the farm beside its state. */
export interface FarmNow {
  readonly nowMs: number;
  /** Parts that are not well. */
  readonly problems: readonly string[];
  readonly nodes: readonly Pick<NodeJson, "state" | "threads" | "jobs">[];
  /** The failure that the publish's log ends with, where it runs in this process: `CODE: what`. */
  readonly failure?: string | undefined;
}

/**
 * What a publish waits for, how it runs, or how it ended and what that means for its release. Of other orgs it says at most that the
 * farm is busy.
 */
export function whyPublish(view: StateView, publish: PublishRecord, farm: FarmNow): Why {
  const { publish_id: id, state } = publish;
  switch (state) {
    case "queued":
      return { reasons: whyQueued(view, publish, farm), next: `granary wait ${id}` };
    case "ingesting":
    case "building":
      return { reasons: whyRunning(publish, farm.failure), next: `granary wait ${id}` };
    case "failed":
      return whyFailed(publish);
    case "cancelled":
      return { reasons: [whyCancelled(view, publish)], next: `granary status ${id}` };
    case "overtaken": {
      const by = publish.overtaken_by ?? "";
      const text = `it waited when ${by} was accepted for ${publish.channel}, and newer publishes of that channel take the place of those that wait`;
      return {
        reasons: [{ code: "overtaken", text, detail: { overtaken_by: by } }],
        next: `granary why ${by}`,
      };
    }
    case "ready":
      return whyReady(view, publish, farm.nowMs);
  }
}

function whyQueued(view: StateView, publish: PublishRecord, farm: FarmNow): WhyReasonJson[] {
  const { org } = publish;
  const reasons: WhyReasonJson[] = [];
  if (farm.problems.length > 0)
    reasons.push({
      code: "farm_unwell",
      text: `the farm is not well: ${farm.problems.join(", ")}`,
      detail: { problems: farm.problems },
    });
  const ready = farm.nodes.filter((node) => node.state === "ready");
  if (ready.length === 0)
    reasons.push({
      code: "nodes_cordoned",
      text: "no node takes jobs: those that are known here are cordoned, and an operator has to uncordon one",
      detail: { nodes: farm.nodes.length },
    });
  if (view.get(KEYS.waitingWork(publish, publish.order)) !== undefined)
    return [...reasons, whyNoTurn(view, publish)];
  const { waiting, running, more } = standing(view, publish);
  const limit = LIMITS.orgJobsAtOnce;
  if (running >= limit)
    reasons.push({
      code: "org_at_limit",
      text: `${running} publishes of ${org} run, and no more than ${limit} of one org do at once`,
      detail: { running, limit },
    });
  if (waiting > 0)
    reasons.push({
      code: "behind_own",
      text: `${more ? "more than " : ""}${waiting} ${waiting === 1 ? "publish" : "publishes"} of ${org} that ${waiting === 1 ? "was" : "were"} accepted earlier ${waiting === 1 ? "waits" : "wait"} too`,
      detail: { waiting, more },
    });
  if (ready.length > 0 && ready.every(({ jobs, threads }) => jobs >= threads * LIMITS.jobsPerThread))
    reasons.push({
      code: "farm_busy",
      text: "the farm is busy: every node works on as much as it takes at once",
      detail: {},
    });
  if (reasons.length > 0) return reasons;
  return [{ code: "on_its_way", text: "it is on its way to a node", detail: {} }];
}

/** Its project has as many publishes at work as it may. */
function whyNoTurn(view: StateView, publish: PublishRecord): WhyReasonJson {
  const { org, project } = publish;
  const limit = findProject(view, publish)?.settings.max_concurrency ?? 0;
  const rows = [...view.range(RANGES.waitingWork(publish), { limit: LIMITS.pageItems })];
  const waiting = rows.filter(({ value }) => value.order < publish.order).length;
  const more = waiting === rows.length;
  const ahead =
    waiting === 0
      ? "it is the next"
      : `${more ? "more than " : ""}${waiting} that ${waiting === 1 ? "was" : "were"} accepted earlier ${waiting === 1 ? "comes" : "come"} before it`;
  return {
    code: "project_at_limit",
    text: `no more than ${limit} ${limit === 1 ? "publish" : "publishes"} of ${org}/${project} ${limit === 1 ? "is" : "are"} worked on at once (max_concurrency), and ${ahead}`,
    detail: { limit, waiting, more },
  };
}

/** What of the org was accepted before a publish: as far as the oldest {@link LIMITS.pageItems} tell, since jobs are taken in order. */
function standing(
  view: StateView,
  publish: PublishRecord,
): { waiting: number; running: number; more: boolean } {
  const oldest = LANES.flatMap((lane) => [
    ...view.range(RANGES.orgWork(lane, publish.org), { limit: LIMITS.pageItems }),
  ]).map((row) => row.value);
  const isQueued = (id: string): boolean => findPublish(view, id)?.state === "queued";
  const queued = oldest.filter((row) => isQueued(row.publish_id));
  const waiting = queued.filter((row) => row.order < publish.order).length;
  const more = !oldest.some((row) => row.publish_id === publish.publish_id);
  return { waiting, running: oldest.length - queued.length, more };
}

function whyRunning(publish: PublishRecord, failure: string | undefined): WhyReasonJson[] {
  const { node = "a node", attempt, state, started_at: since = publish.created_at } = publish;
  const running: WhyReasonJson = {
    code: "running",
    text: `${node} works on it since ${toSecond(since)}: ${state}, attempt ${attempt}`,
    detail: { node, attempt, since, phase: state },
  };
  if (failure !== undefined) {
    const code = failure.split(":")[0];
    const hint = isErrorCode(code) ? ` ${ERROR_CODES[code].hint}` : "";
    const text = `the last attempt ended with ${failure}. It is tried again, every 15 s at most.${hint}`;
    return [running, { code: "run_again", text, detail: { attempt, failure } }];
  }
  if (attempt <= 1) return [running];
  const again = `an earlier attempt ended without an answer, as when a node or a thread dies; after ${LIMITS.jobDeliveries} of them the publish fails`;
  return [running, { code: "run_again", text: again, detail: { attempt, limit: LIMITS.jobDeliveries } }];
}

function whyFailed(publish: PublishRecord): Why {
  const { code, message } = publish.error ?? { code: "INTERNAL", message: "no error was recorded" };
  const { hint } = ERROR_CODES[code];
  return {
    reasons: [{ code: "failed", text: `${code}: ${message}. ${hint}`, detail: { code, message, hint } }],
    next: `granary explain ${code}`,
  };
}

/** By whom is in the audit trail alone. */
function whyCancelled(view: StateView, publish: PublishRecord): WhyReasonJson {
  const { publish_id, ended_at: at = publish.created_at } = publish;
  const row = findAudit(view, publish.org, {
    at,
    behindSeq: publish.order,
    fits: ({ action, resource, ok }) => ok && action === "cancel" && resource === publish_id,
  });
  const message = publish.error?.message ?? `${publish_id} was cancelled`;
  if (row === undefined) return { code: "cancelled", text: message, detail: { at } };
  const [by, reason] = [actorText(row.actor), row.reason];
  return {
    code: "cancelled",
    text: `${by} cancelled it at ${toSecond(at)}${reason === undefined ? "" : `: ${reason}`}`,
    detail: { by, at, ...(reason === undefined ? {} : { reason }) },
  };
}

function whyReady(view: StateView, publish: PublishRecord, nowMs: number): Why {
  const name = previewOf(publish.channel);
  if (name !== undefined) {
    const preview = findPreview(view, publish, name);
    if (preview?.publish_id === publish.publish_id) return whyPreview(preview);
    const text =
      preview === undefined
        ? `the preview ${name} that it made has ended`
        : `the preview ${name} shows a newer publish, ${preview.publish_id}`;
    const next = preview === undefined ? null : `granary why ${preview.publish_id}`;
    return { reasons: [{ code: "preview_moved_on", text, detail: { preview: name } }], next };
  }
  const project = view.get(KEYS.project(publish));
  const release = findRelease(view, publish, parseVersion(publish.version ?? "") ?? 0);
  if (release === undefined || project === undefined)
    throw new Error(`${publish.publish_id} is ready without a release`);
  const why = whyRelease(view, { release, project, nowMs });
  if (publish.existing !== true) return why;
  const { version, commit, image_digest } = release;
  const same: WhyReasonJson = {
    code: "same_image",
    text: `it came to the image of ${version}, from the same commit, so it is ${version}: no release was made and nothing went live by it`,
    detail: { version, image_digest, ...(commit === null ? {} : { commit }) },
  };
  return { reasons: [same, ...why.reasons], next: why.next };
}
