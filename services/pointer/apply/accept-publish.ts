import { previewOf } from "../../../proto/channel.ts";
import type { AcceptCommand, CommandValue } from "../../../proto/commands.ts";
import { LIMITS } from "../../../proto/limits.ts";
import type { Name } from "../../../proto/names.ts";
import { parseVersion } from "../../../proto/names.ts";
import { type ProjectRecord, type PublishRecord, TERMINAL_STATES } from "../../../proto/records.ts";
import { overQuota } from "../../shared/over-quota.ts";
import { contentText, KEYS } from "../../shared/state-keys.ts";
import { isOvertakeable, overtakePublishes } from "./overtake-publishes.ts";
import { previewTtlMs } from "./preview-ttl.ts";
import { beginWork } from "./project-turns.ts";
import { setPreviewEnd } from "./set-preview-end.ts";
import { settleHold } from "./settle-hold.ts";
import type { Step } from "./step.ts";

/**
 * `accept`: binds an upload to one publish, whose order is its place in the log (ruling 1). Answers instead with the publish
 * that the idempotency key is bound to, or with an identical one that is in flight or released; that never moves the pointer.
 */
export function acceptPublish(step: Step, body: AcceptCommand): CommandValue {
  const { org, project } = step.command;
  if (project === undefined) return step.refuse("USAGE", "accept names no project");
  const at = { org, project };
  const orgRecord = step.get(KEYS.org(org));
  if (orgRecord === undefined && !body.create.org) step.refuse("NOT_FOUND", `there is no org ${org}`);
  const projectRecord = step.get(KEYS.project(at));
  if (projectRecord === undefined && !body.create.project)
    step.refuse("NOT_FOUND", `there is no project ${org}/${project}`);

  const earlier = findEarlier(step, at, body);
  if (earlier !== undefined) {
    // A key that was free is taken by what it asked for: from now on it stands for this content.
    const asksAnew =
      body.idempotency_key === undefined ||
      bindKey(step, at, {
        key: body.idempotency_key,
        publishId: earlier.publish_id,
        content: contentText(body),
      });
    // The same content again is a sign of life; the same request again is not.
    if (asksAnew) slidePreview(step, body);
    const outcome = earlier.state === "ready" ? "existing" : "joined";
    return { type: "accepted", publish_id: earlier.publish_id, outcome };
  }
  if (body.known_only)
    step.refuse("STATE_CONFLICT", "no publish has this content any more: it has to be sent");
  const backlog = step.get(KEYS.backlog(org)) ?? 0;
  checkAcceptable(step, { body, backlog, project: projectRecord });

  if (orgRecord === undefined)
    step.put(KEYS.org(org), { org, created_at: step.at, created_by: step.command.actor });
  if (projectRecord === undefined) createProject(step, at);
  else step.openProject();
  settleHold(step);
  writePublish(step, at, body);
  step.put(KEYS.backlog(org), backlog + 1);
  slidePreview(step, body);
  if (isOvertakeable(step.openProject(), body.channel)) overtakePublishes(step, body);
  return { type: "accepted", publish_id: body.publish_id, outcome: "new" };
}

/** A living preview gets a full time to live from its publisher's sign of life: it does not end under a publish that runs. */
function slidePreview(step: Step, body: AcceptCommand): void {
  const name = previewOf(body.channel);
  if (name === undefined) return;
  const project = step.openProject();
  const preview = step.get(KEYS.preview(project, name));
  if (preview?.state !== "ready" || preview.pinned) return;
  const ttl_ms = previewTtlMs({ asked: body.preview_ttl_ms, preview, project });
  setPreviewEnd(step, preview, { pinned: false, ttl_ms, cause: "accepted" });
}

/**
 * The publish that answers this one; a failed or cancelled one never does. One that was overtaken answers to its key: a request that is
 * repeated because its answer was lost would otherwise become the newest, and overtake what had overtaken it.
 */
function findEarlier(
  step: Step,
  at: { org: Name; project: Name },
  body: AcceptCommand,
): PublishRecord | undefined {
  const content = contentText(body);
  if (body.idempotency_key !== undefined) {
    const binding = step.get(KEYS.idempotency(at, body.idempotency_key));
    const bound = binding !== undefined && binding.expires_ms > step.timeMs;
    if (bound && binding.content !== content) {
      const detail = { publish_id: binding.publish_id };
      step.refuse(
        "IDEMPOTENCY_KEY_REUSED",
        `the idempotency key belongs to ${binding.publish_id}, which has other content`,
        detail,
      );
    }
    if (bound) {
      const publish = step.get(KEYS.publish(binding.publish_id));
      const isIt =
        publish !== undefined &&
        (isAnswer(publish) || (publish.state === "overtaken" && body.keeps_overtaken === true));
      return isIt ? publish : undefined;
    }
  }
  if (body.force_new) return undefined;
  const twinId = step.get(KEYS.natural(at, content));
  const twin = twinId === undefined ? undefined : step.get(KEYS.publish(twinId));
  if (twin === undefined || !isAnswer(twin) || !isShown(step, at, twin)) return undefined;
  const version = parseVersion(twin.version ?? "");
  const release = version === undefined ? undefined : step.get(KEYS.release(at, version));
  return release?.state === "retired" ? undefined : twin;
}

/**
 * A release is there for good; what a preview shows is not. The newest publish of a living preview answers: of one that was
 * followed by other content, or whose preview has ended, the publisher wants it back.
 */
function isShown(step: Step, at: { org: Name; project: Name }, publish: PublishRecord): boolean {
  const name = previewOf(publish.channel);
  if (name === undefined) return true;
  if (step.get(KEYS.previewTip(at, name)) !== publish.order) return false;
  return publish.state !== "ready" || step.get(KEYS.preview(at, name))?.state === "ready";
}

function isAnswer(publish: PublishRecord): boolean {
  return publish.state === "ready" || !TERMINAL_STATES.has(publish.state);
}

function checkAcceptable(
  step: Step,
  has: { body: AcceptCommand; backlog: number; project: ProjectRecord | undefined },
): void {
  const { body, backlog, project } = has;
  const ofOrg = step.get(KEYS.org(step.command.org))?.settings?.max_queued ?? LIMITS.queuedPublishesPerOrg;
  const limit = Math.min(ofOrg, LIMITS.queuedPublishesPerOrg);
  if (backlog >= limit) {
    step.refuse("RATE_LIMITED", `${backlog} publishes of ${step.command.org} wait or run, limit ${limit}`, {
      actual: backlog,
      limit,
    });
  }
  if (project?.settings.require_commit && body.commit === null) {
    step.refuse("COMMIT_REQUIRED", `${project.org}/${project.project} requires a commit`);
  }
  const over = project === undefined ? undefined : overQuota(project, 0);
  if (over !== undefined) step.refuse(over.code, over.message, over.detail);
  if (step.get(KEYS.publish(body.publish_id)) !== undefined) {
    step.refuse("STATE_CONFLICT", `the publish id ${body.publish_id} is taken`, {
      publish_id: body.publish_id,
    });
  }
}

function createProject(step: Step, at: { org: Name; project: Name }): void {
  step.putProject({
    ...at,
    created_at: step.at,
    created_by: step.command.actor,
    last_version: 0,
    current: null,
    generation: 0,
    auto_order: 0,
    event_n: 0,
    event_seq: 0,
    settings: {},
  });
  step.emit("project.created", at.project, { created_by: step.command.actor });
}

function writePublish(step: Step, at: { org: Name; project: Name }, body: AcceptCommand): void {
  const { publish_id, upload, channel, commit } = body;
  const content = contentText(body);
  const order = step.seq;
  step.put(KEYS.publish(publish_id), {
    publish_id,
    ...at,
    state: "queued",
    channel,
    order,
    upload,
    commit,
    ...(body.source !== undefined && { source: body.source }),
    ...(body.dirty !== undefined && { dirty: body.dirty }),
    activate: body.activate,
    ...(body.strip !== undefined && { strip: body.strip }),
    ...(body.idempotency_key !== undefined && { idempotency_key: body.idempotency_key }),
    ...(body.force_new && { force_new: true }),
    ...(body.preview_ttl_ms !== undefined && { preview_ttl_ms: body.preview_ttl_ms }),
    attempt: 0,
    created_at: step.at,
    created_by: step.command.actor,
  });
  step.put(KEYS.projectPublish(at, order), publish_id);
  step.put(KEYS.natural(at, content), publish_id);
  beginWork(step, { publish_id, ...at, order, created_ms: step.timeMs });
  const preview = previewOf(channel);
  if (preview !== undefined) step.put(KEYS.previewTip(at, preview), order);
  // Those of previews are also found by it when the preview is removed.
  if (preview !== undefined || isOvertakeable(step.openProject(), channel))
    step.put(KEYS.channelWork(at, channel, order), publish_id);
  if (body.idempotency_key !== undefined)
    bindKey(step, at, { key: body.idempotency_key, publishId: publish_id, content });
  step.emit("publish.accepted", publish_id, {
    publish_id,
    channel,
    commit,
    upload: { digest: upload.digest, size: upload.size },
    activate: body.activate,
  });
}

/** Binds a key for its 7 days. @returns false when it is bound already */
function bindKey(
  step: Step,
  at: { org: Name; project: Name },
  to: { key: string; publishId: string; content: string },
): boolean {
  const key = KEYS.idempotency(at, to.key);
  const binding = step.get(key);
  if (binding?.publish_id === to.publishId && binding.expires_ms > step.timeMs) return false;
  const expiresMs = step.timeMs + LIMITS.idempotencyKeyMs;
  step.put(key, { publish_id: to.publishId, content: to.content, expires_ms: expiresMs });
  step.put(KEYS.idempotencyExpiry(expiresMs, step.seq), key);
  return true;
}
