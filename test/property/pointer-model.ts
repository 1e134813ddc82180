import type { AcceptCommand, CommandBody } from "../../proto/commands.ts";

/**
 * What the pointer must do, written a second time as plainly as possible: arrays and loops, no keys, no events. It answers
 * what a command comes to (`ok`, a refusal code, or the outcome of an accept) and keeps what can be compared afterwards.
 */
export interface ModelPublish {
  readonly id: string;
  readonly body: AcceptCommand;
  readonly order: number;
  state: string;
  attempt: number;
  version: number | undefined;
}

interface ModelRelease {
  readonly image: string;
  readonly commit: string | null;
  readonly order: number;
}

export class ModelProject {
  readonly publishes: ModelPublish[] = [];
  /** `v1` is the first. */
  readonly releases: ModelRelease[] = [];
  /** Versions in the order in which they went live, with the generation at which each was rolled back from, if it was. */
  readonly activations: { version: number; rolledBack: boolean }[] = [];
  autoOrder = 0;
  hold: { reason: string; untilMs: number } | undefined;
  requireCommit = false;
  readonly keys = new Map<string, { id: string; content: string; expiresMs: number }>();

  get current(): number | undefined {
    return this.activations.at(-1)?.version;
  }
}

const WEEK_MS = 7 * 24 * 3_600_000;

export class Model {
  readonly projects = new Map<string, ModelProject>();

  apply(project: string, body: CommandBody, at: { seq: number; timeMs: number }): string {
    const found = this.projects.get(project);
    if (body.type === "accept") return this.#accept(project, body, at);
    if ("publish_id" in body) return this.#ofPublish(project, body, at);
    if (found === undefined) return "NOT_FOUND";
    switch (body.type) {
      case "activate": {
        if (isStale(found, body.expected_generation)) return "GENERATION_STALE";
        const version = Number(body.version.slice(1));
        if (version > found.releases.length) return "NOT_FOUND";
        if (found.current === version) return "unchanged";
        expire(found, at.timeMs);
        goLive(found, version);
        return "changed";
      }
      case "rollback":
        return rollback(found, body);
      case "hold": {
        const untilMs = body.until === undefined ? Number.POSITIVE_INFINITY : Date.parse(body.until);
        if (untilMs <= at.timeMs) return "USAGE";
        expire(found, at.timeMs);
        if (found.hold?.reason === body.reason && found.hold.untilMs === untilMs) return "unchanged";
        found.hold = { reason: body.reason, untilMs };
        return "changed";
      }
      case "unhold": {
        expire(found, at.timeMs);
        const held = found.hold !== undefined;
        found.hold = undefined;
        return held ? "changed" : "unchanged";
      }
      case "project.set": {
        const next = body.settings.require_commit ?? found.requireCommit;
        found.requireCommit = next;
        return "set";
      }
      default:
        throw new Error(`the model has no ${body.type}`);
    }
  }

  #accept(name: string, body: AcceptCommand, at: { seq: number; timeMs: number }): string {
    const project = this.projects.get(name) ?? new ModelProject();
    const content = JSON.stringify([body.commit, body.upload.digest, body.strip ?? 0]);
    const binding = project.keys.get(body.idempotency_key ?? "");
    const bound = binding !== undefined && binding.expiresMs > at.timeMs;
    if (bound) {
      if (binding.content !== content) return "IDEMPOTENCY_KEY_REUSED";
      const earlier = project.publishes.find((publish) => publish.id === binding.id);
      if (earlier !== undefined && answers(earlier)) return answer(earlier);
    } else if (!body.force_new) {
      const sameContent = (publish: ModelPublish) =>
        JSON.stringify([publish.body.commit, publish.body.upload.digest, publish.body.strip ?? 0]) ===
        content;
      const newest = project.publishes.filter(sameContent).at(-1);
      if (newest !== undefined && answers(newest)) {
        if (body.idempotency_key !== undefined) {
          project.keys.set(body.idempotency_key, { id: newest.id, content, expiresMs: at.timeMs + WEEK_MS });
        }
        return answer(newest);
      }
    }
    if (project.requireCommit && body.commit === null) return "COMMIT_REQUIRED";
    this.projects.set(name, project);
    expire(project, at.timeMs);
    project.publishes.push({
      id: body.publish_id,
      body,
      order: at.seq,
      state: "queued",
      attempt: 0,
      version: undefined,
    });
    if (body.idempotency_key !== undefined) {
      project.keys.set(body.idempotency_key, {
        id: body.publish_id,
        content,
        expiresMs: at.timeMs + WEEK_MS,
      });
    }
    return "new";
  }

  #ofPublish(
    name: string,
    body: Extract<CommandBody, { type: "start" | "ready" | "fail" | "cancel" }>,
    at: { timeMs: number },
  ): string {
    const project = this.projects.get(name);
    const publish = project?.publishes.find((candidate) => candidate.id === body.publish_id);
    if (project === undefined || publish === undefined) return "NOT_FOUND";
    const ended = ["ready", "failed", "cancelled"].includes(publish.state);
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
      case "fail":
        if (ended || body.attempt < publish.attempt) return "ignored";
        publish.state = "failed";
        return "applied";
      case "ready": {
        if (ended || publish.attempt === 0 || body.attempt !== publish.attempt) return "ignored";
        expire(project, at.timeMs);
        finish(project, publish, body.artifact.image_digest);
        return "applied";
      }
    }
  }
}

function finish(project: ModelProject, publish: ModelPublish, image: string): void {
  publish.state = "ready";
  const { commit } = publish.body;
  const same = project.releases.findLastIndex(
    (release) => release.image === image && release.commit === commit,
  );
  if (same >= 0 && !publish.body.force_new) {
    publish.version = same + 1;
    return;
  }
  publish.version = project.releases.push({ image, commit, order: publish.order });
  const older = publish.order <= project.autoOrder;
  if (publish.body.activate && project.hold === undefined && !older) goLive(project, publish.version);
}

function rollback(project: ModelProject, body: Extract<CommandBody, { type: "rollback" }>): string {
  if (isStale(project, body.expected_generation)) return "GENERATION_STALE";
  if (project.current === undefined) return "NOTHING_ACTIVE";
  let target: number | undefined;
  if (body.to === undefined) {
    target = project.activations.findLast(
      (past) => past.version !== project.current && !past.rolledBack,
    )?.version;
    if (target === undefined) return "NO_ROLLBACK_TARGET";
  } else {
    target = Number(body.to.slice(1));
    if (target > project.releases.length) return "NOT_FOUND";
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

function goLive(project: ModelProject, version: number): void {
  project.activations.push({ version, rolledBack: false });
  project.autoOrder = Math.max(project.autoOrder, project.releases[version - 1]?.order ?? 0);
}

function expire(project: ModelProject, timeMs: number): void {
  if (project.hold !== undefined && project.hold.untilMs <= timeMs) project.hold = undefined;
}

function isStale(project: ModelProject, expected: number | undefined): boolean {
  return expected !== undefined && expected !== project.activations.length;
}

function answers(publish: ModelPublish): boolean {
  return !["failed", "cancelled"].includes(publish.state);
}

function answer(publish: ModelPublish): string {
  return `${publish.state === "ready" ? "existing" : "joined"} ${publish.id}`;
}
