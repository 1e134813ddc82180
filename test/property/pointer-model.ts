import type { AcceptCommand, CommandBody } from "../../proto/commands.ts";
import {
  expire,
  goLive,
  isStale,
  ModelProject,
  type ModelPublish,
  sameRelease,
  type WiderHolds,
} from "./model-project.ts";
import { isShown, ofPreview, overtakeQueued, setPreview, slide } from "./preview-model.ts";
import { ofSession } from "./session-model.ts";

/**
 * What the pointer must do, written a second time as plainly as possible: arrays and loops, no keys, no events. It answers
 * what a command comes to (`ok`, a refusal code, or the outcome of an accept) and keeps what can be compared afterwards.
 */
const WEEK_MS = 7 * 24 * 3_600_000;

export class Model {
  readonly projects = new Map<string, ModelProject>();
  readonly wider: WiderHolds = { orgMs: Number.NEGATIVE_INFINITY, farmMs: Number.NEGATIVE_INFINITY };
  #orgExists = false;

  apply(project: string, body: CommandBody, at: { seq: number; timeMs: number }): string {
    const found = this.projects.get(project);
    if (body.type === "accept") return this.#accept(project, body, at);
    if ("publish_id" in body) return this.#ofPublish(project, body, at);
    if (isWider(body)) return this.#hold(body, at.timeMs);
    if (found === undefined) return "NOT_FOUND";
    if ("name" in body) return ofPreview(found, body, at);
    switch (body.type) {
      case "activate": {
        if (isStale(found, body.expected_generation)) return "GENERATION_STALE";
        const version = Number(body.version.slice(1));
        if (version > found.releases.length) return "NOT_FOUND";
        if (found.releases[version - 1]?.retired) return "RELEASE_RETIRED";
        if (found.current === version) return "unchanged";
        expire(found, at.timeMs);
        goLive(found, version);
        return "changed";
      }
      case "rollback":
        return rollback(found, body);
      case "hold":
        return hold(found, body, at.timeMs);
      case "unhold": {
        expire(found, at.timeMs);
        const held = found.hold !== undefined;
        found.hold = undefined;
        return held ? "changed" : "unchanged";
      }
      case "project.set": {
        found.requireCommit = body.settings.require_commit ?? found.requireCommit;
        found.overtake = body.settings.overtake ?? found.overtake;
        return "set";
      }
      case "retire":
        return retire(found, Number(body.version.slice(1)));
      case "session.start":
      case "session.end":
      case "session.expire":
        return ofSession(found, body, at.timeMs);
      default:
        throw new Error(`the model has no ${body.type}`);
    }
  }

  #hold(body: WiderBody, timeMs: number): string {
    const ofFarm = body.type === "farm.hold" || body.type === "farm.unhold";
    if (!ofFarm && !this.#orgExists) return "NOT_FOUND";
    const key = ofFarm ? "farmMs" : "orgMs";
    const before = this.wider[key];
    if (!("reason" in body)) {
      this.wider[key] = Number.NEGATIVE_INFINITY;
    } else {
      const untilMs = body.until === undefined ? Number.POSITIVE_INFINITY : Date.parse(body.until);
      if (untilMs <= timeMs) return "USAGE";
      if (wouldShorten(body, before)) return "HELD";
      this.wider[key] = untilMs;
    }
    return before === this.wider[key] ? "unchanged" : "changed";
  }

  #accept(name: string, body: AcceptCommand, at: { seq: number; timeMs: number }): string {
    const project = this.projects.get(name) ?? new ModelProject(this.wider);
    const earlier = answerOf(project, body, at.timeMs);
    if (earlier !== undefined) return earlier;
    if (project.requireCommit && body.commit === null) return "COMMIT_REQUIRED";
    this.projects.set(name, project);
    this.#orgExists = true;
    expire(project, at.timeMs);
    slide(project, body, at.timeMs);
    const yields = project.overtake ?? body.channel !== "production";
    if (yields) overtakeQueued(project, body);
    project.publishes.push({
      id: body.publish_id,
      body,
      order: at.seq,
      state: "queued",
      attempt: 0,
      version: undefined,
      yields,
      overtakenBy: undefined,
    });
    if (body.idempotency_key !== undefined) {
      project.keys.set(body.idempotency_key, {
        id: body.publish_id,
        content: contentOf(body),
        expiresMs: at.timeMs + WEEK_MS,
      });
    }
    return "new";
  }

  #ofPublish(
    name: string,
    body: Extract<CommandBody, { type: "start" | "ready" | "fail" | "cancel" | "log" }>,
    at: { timeMs: number },
  ): string {
    const project = this.projects.get(name);
    const publish = project?.publishes.find((candidate) => candidate.id === body.publish_id);
    if (project === undefined || publish === undefined) return "NOT_FOUND";
    const ended = ["ready", "failed", "cancelled", "overtaken"].includes(publish.state);
    switch (body.type) {
      case "start":
        if (ended || body.attempt <= publish.attempt) return "STATE_CONFLICT";
        publish.state = "ingesting";
        publish.attempt = body.attempt;
        return "changed";
      case "cancel":
        if (ended) return "STATE_CONFLICT";
        publish.state = "cancelled";
        return "applied";
      case "log":
        if (!ended || body.attempt !== publish.attempt || publish.hasLog === true) return "unchanged";
        publish.hasLog = true;
        return "changed";
      case "fail":
        if (ended || body.attempt < publish.attempt) return "ignored";
        publish.state = "failed";
        return "applied";
      case "ready": {
        if (ended || publish.attempt === 0 || body.attempt !== publish.attempt) return "ignored";
        expire(project, at.timeMs);
        if (publish.body.channel === "production")
          finish(project, publish, { image: body.artifact.image_digest, timeMs: at.timeMs });
        else setPreview(project, publish, { image: body.artifact.image_digest, timeMs: at.timeMs });
        return "applied";
      }
    }
  }
}

/** What an accept comes to without a publish of its own; undefined: it gets one. */
function answerOf(project: ModelProject, body: AcceptCommand, timeMs: number): string | undefined {
  const content = contentOf(body);
  const { idempotency_key: key } = body;
  const binding = key === undefined ? undefined : project.keys.get(key);
  if (binding !== undefined && binding.expiresMs > timeMs) {
    if (binding.content !== content) return "IDEMPOTENCY_KEY_REUSED";
    const bound = project.publishes.find((publish) => publish.id === binding.id);
    const keeps = bound?.state === "overtaken" && body.keeps_overtaken === true;
    return bound !== undefined && (answers(bound) || keeps) ? answer(bound) : undefined;
  }
  if (body.force_new) return undefined;
  const newest = project.publishes.filter((publish) => contentOf(publish.body) === content).at(-1);
  if (newest === undefined || !answers(newest) || !isShown(project, newest)) return undefined;
  if (project.releases[(newest.version ?? 0) - 1]?.retired) return undefined;
  slide(project, body, timeMs);
  if (key !== undefined) project.keys.set(key, { id: newest.id, content, expiresMs: timeMs + WEEK_MS });
  return answer(newest);
}

function finish(
  project: ModelProject,
  publish: ModelPublish,
  { image, timeMs }: { image: string; timeMs: number },
): void {
  publish.state = "ready";
  const { commit } = publish.body;
  const same = sameRelease(project, image, commit);
  if (same > 0 && !publish.body.force_new) {
    publish.version = same;
    return;
  }
  publish.version = project.releases.push({ image, commit, order: publish.order });
  const older = publish.order <= project.autoOrder;
  if (publish.body.activate && !project.isHeld(timeMs) && !older) goLive(project, publish.version);
}

function retire(project: ModelProject, version: number): string {
  const release = project.releases[version - 1];
  if (release === undefined) return "NOT_FOUND";
  if (project.current === version) return "RELEASE_IN_USE";
  if ([...project.sessions.values()].some((session) => session.version === version)) return "RELEASE_IN_USE";
  if (release.retired) return "unchanged";
  release.retired = true;
  return "changed";
}

function hold(project: ModelProject, body: Extract<CommandBody, { type: "hold" }>, timeMs: number): string {
  const untilMs = body.until === undefined ? Number.POSITIVE_INFINITY : Date.parse(body.until);
  if (untilMs <= timeMs) return "USAGE";
  expire(project, timeMs);
  if (wouldShorten(body, project.hold?.untilMs)) return "HELD";
  if (project.hold?.reason === body.reason && project.hold.untilMs === untilMs) return "unchanged";
  project.hold = { reason: body.reason, untilMs };
  return "changed";
}

function rollback(project: ModelProject, body: Extract<CommandBody, { type: "rollback" }>): string {
  if (isStale(project, body.expected_generation)) return "GENERATION_STALE";
  if (project.current === undefined) return "NOTHING_ACTIVE";
  let target: number | undefined;
  if (body.to === undefined) {
    target = project.activations.findLast(
      (past) =>
        past.version !== project.current && !past.rolledBack && !project.releases[past.version - 1]?.retired,
    )?.version;
    if (target === undefined) return "NO_ROLLBACK_TARGET";
  } else {
    target = Number(body.to.slice(1));
    if (target > project.releases.length) return "NOT_FOUND";
    if (project.releases[target - 1]?.retired) return "RELEASE_RETIRED";
  }
  const from = project.current;
  if (target === from) return "unchanged";
  // Every earlier time it was live counts as rolled back from; a later activation starts anew.
  for (const past of project.activations) if (past.version === from) past.rolledBack = true;
  goLive(project, target);
  const reason = body.reason === undefined ? "" : `: ${body.reason}`;
  project.hold = {
    reason: `rollback from v${from} to v${target}${reason}`,
    untilMs: Number.POSITIVE_INFINITY,
  };
  return "changed";
}

function answers(publish: ModelPublish): boolean {
  return !["failed", "cancelled", "overtaken"].includes(publish.state);
}

function answer(publish: ModelPublish): string {
  return `${publish.state === "ready" ? "existing" : "joined"} ${publish.id}`;
}

function contentOf(body: AcceptCommand): string {
  return JSON.stringify([body.channel, body.commit, body.upload.digest, body.strip ?? 0]);
}

function wouldShorten(body: { until?: string; keeps_endless?: true }, heldMs: number | undefined): boolean {
  return body.keeps_endless === true && body.until !== undefined && heldMs === Number.POSITIVE_INFINITY;
}

type WiderBody = Extract<CommandBody, { type: `${"org" | "farm"}.${"hold" | "unhold"}` }>;

function isWider(body: CommandBody): body is WiderBody {
  return /^(?:org|farm)\.(?:un)?hold$/.test(body.type);
}
