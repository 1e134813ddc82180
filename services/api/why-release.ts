import { actorText } from "../../proto/actor-text.ts";
import { previewChannel } from "../../proto/channel.ts";
import type { WhyJson, WhyReasonJson } from "../../proto/http-why.ts";
import type { ActivationRecord, PreviewRecord, ProjectRecord, ReleaseRecord } from "../../proto/records.ts";
import { findHold } from "../shared/find-hold.ts";
import { retentionRule } from "../shared/retention-rule.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { findActivation, findCurrentRelease } from "../shared/state-queries.ts";
import { whyKept } from "../shared/why-kept.ts";

export type Why = Pick<WhyJson, "reasons" | "next">;

interface About {
  readonly release: ReleaseRecord;
  readonly project: ProjectRecord;
  readonly nowMs: number;
}

/** Why a release is live or is not, and why it is kept. */
export function whyRelease(view: StateView, about: About): Why {
  const { release } = about;
  const ref = `${release.org}/${release.project}@${release.version}`;
  const activate = `granary activate ${ref}`;
  switch (release.state) {
    case "active": {
      const hold = whyHeld(view, about);
      const reasons = [whyLive(view, release), ...(hold === undefined ? [] : [hold])];
      return { reasons, next: `granary show ${ref}` };
    }
    case "superseded":
      return { reasons: [whyLeft(view, release), ...whyStays(view, about)], next: activate };
    case "retired":
      return { reasons: [whyRetired(release)], next: `granary releases ${release.org}/${release.project}` };
    case "ready":
      return { reasons: [whyNotLive(view, about), ...whyStays(view, about)], next: activate };
  }
}

export function whyPreview(preview: PreviewRecord): Why {
  const { org, project, name, pinned, expires_at, promoted_as: version } = preview;
  const lives: WhyReasonJson = {
    code: "preview_lives",
    text: pinned
      ? `the preview ${name} is pinned: it stays until it is removed or extended`
      : `the preview ${name} lives until ${toSecond(expires_at ?? "")}; each publish to it puts that off`,
    detail: { preview: name, pinned, ...(expires_at === undefined ? {} : { expires_at }) },
  };
  if (version === undefined)
    return { reasons: [lives], next: `granary preview promote ${org}/${project} ${name}` };
  const promoted: WhyReasonJson = {
    code: "promoted",
    text: `what it shows was promoted as ${version}`,
    detail: { version, channel: previewChannel(name) },
  };
  return { reasons: [lives, promoted], next: `granary why ${org}/${project}@${version}` };
}

function whyLive(view: StateView, release: ReleaseRecord): WhyReasonJson {
  const activation = findActivation(view, release, release.generation ?? 0);
  const text = `it is live since ${told(activation)}`;
  return { code: "live", text, detail: activationDetail(activation) };
}

/** What the pointer left it for. */
function whyLeft(view: StateView, release: ReleaseRecord): WhyReasonJson {
  const generation = (release.generation ?? 0) + 1;
  const next = findActivation(view, release, generation);
  const detail = { by: next?.to ?? "", ...activationDetail(next) };
  if (release.rolled_back_generation === generation)
    return { code: "rolled_back", text: `it was rolled back to ${next?.to}: ${told(next)}`, detail };
  return { code: "superseded", text: `${next?.to} took its place: ${told(next)}`, detail };
}

function whyNotLive(view: StateView, about: About): WhyReasonJson {
  const { release, project } = about;
  switch (release.not_activated_reason) {
    case "held":
      return (
        whyHeld(view, about) ?? {
          code: "hold_over",
          text: "its project, its org or the farm was held when it became ready; that is over, and the end of a hold activates nothing",
          detail: { ready_at: release.created_at },
        }
      );
    case "older": {
      const live = findCurrentRelease(view, release);
      const standing =
        live === undefined ? "" : `; ${live.version} is live, accepted as number ${live.order}`;
      return {
        code: "older",
        text: `it was accepted as number ${release.order} of the log, and something accepted later had been live when it became ready${standing}`,
        detail: {
          order: release.order,
          newest_live_order: project.auto_order,
          ...(live === undefined ? {} : { live: live.version, live_order: live.order }),
        },
      };
    }
    default:
      return {
        code: "not_requested",
        text: `it was ${release.promoted_from === undefined ? "published" : "promoted"} with the wish not to go live`,
        detail: { created_by: actorText(release.created_by) },
      };
  }
}

/** What holds now. */
function whyHeld(view: StateView, about: About): WhyReasonJson | undefined {
  const { project, nowMs } = about;
  const hold = findHold(view, project, nowMs);
  if (hold === undefined) return undefined;
  const { level, reason, since, until } = hold;
  const [name, argument] = {
    project: [`the project ${project.org}/${project.project}`, `${project.org}/${project.project}`],
    org: [`the org ${project.org}`, project.org],
    farm: ["the whole farm", "--all"],
  }[level] as [string, string];
  const by = actorText(hold.by);
  const end = until === undefined ? "" : `, until ${toSecond(until)}`;
  const release = `granary unhold ${argument}`;
  return {
    code: "held",
    text: `${name} is held since ${toSecond(since)} by ${by}: ${reason}${end}; \`${release}\` lets later publishes go live`,
    detail: { level, reason, since, by, ...(until === undefined ? {} : { until }), release },
  };
}

function whyRetired(release: ReleaseRecord): WhyReasonJson {
  const { retired_at: at = "", retired_by } = release;
  const by = retired_by === undefined ? "nobody" : actorText(retired_by);
  const how =
    retired_by?.kind === "system" ? "the project's retention did not keep it" : "somebody asked for it";
  return {
    code: "retired",
    text: `${by} retired it at ${toSecond(at)}, because ${how}; it cannot go live again, and its content is not kept`,
    detail: { by, at },
  };
}

/** What keeps a release that is not live. */
function whyStays(view: StateView, about: About): WhyReasonJson[] {
  const { release, project, nowMs } = about;
  const used = whyKept(view, release);
  if (used !== undefined)
    return [{ code: "sessions", text: `it is kept: ${used}`, detail: { kept_by: used } }];
  const { keep_last, keep_for } = project.settings.retention ?? {};
  if (keep_last === undefined && keep_for === undefined)
    return [
      {
        code: "no_retention",
        text: "it is kept: the project has no retention, so every release is",
        detail: {},
      },
    ];
  const detail = {
    ...(keep_last === undefined ? {} : { keep_last }),
    ...(keep_for === undefined ? {} : { keep_for }),
  };
  const rule = retentionRule(view, project, nowMs);
  if (rule === undefined)
    return [{ code: "retention_paused", text: "it is kept while its project is held", detail }];
  if (rule.keeps(release))
    return [{ code: "retention_keeps", text: "the project's retention keeps it", detail }];
  return [
    {
      code: "retention_ends",
      text: "nothing keeps it: the project's retention retires it within a minute",
      detail,
    },
  ];
}

/** `TIME, generation 4: rollback by token:tok_1, bad login`. */
function told(activation: ActivationRecord | undefined): string {
  if (activation === undefined) return "an activation that is not recorded any more";
  const { at, generation, cause, actor, reason } = activation;
  const why = reason === undefined ? "" : `, ${reason}`;
  return `${toSecond(at)}, generation ${generation}: ${cause} by ${actorText(actor)}${why}`;
}

function activationDetail(activation: ActivationRecord | undefined): WhyReasonJson["detail"] {
  if (activation === undefined) return {};
  const { at, generation, cause, actor, reason } = activation;
  return { at, generation, cause, actor: actorText(actor), ...(reason === undefined ? {} : { reason }) };
}

/** A time of the log as people read it. */
export function toSecond(at: string): string {
  return at.replace(/\.[0-9]+Z$/, "Z");
}
