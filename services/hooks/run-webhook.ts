import { createHash } from "node:crypto";
import { renderEvent } from "../../proto/cd-events.ts";
import type { Command, CommandResult } from "../../proto/commands.ts";
import { type CloudEvent, formatCursor } from "../../proto/events.ts";
import type { Name } from "../../proto/names.ts";
import type { WebhookRecord } from "../../proto/webhooks.ts";
import type { HookBus, HookValue } from "../shared/bus.ts";
import type { Log } from "../shared/log.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { findWebhook } from "../shared/state-queries.ts";
import type { Wake } from "../shared/wake.ts";
import type { SecretBox } from "../shared/webhook-secrets.ts";
import { afterAttempt, firstProgress, type Plan, type Progress, planDelivery } from "./delivery-plan.ts";
import type { Attempt } from "./send-webhook.ts";
import { signWebhook } from "./sign-webhook.ts";

/** What deliveries need of the process around them. */
export interface HookContext {
  readonly hooks: HookBus;
  readonly secrets: Pick<SecretBox, "open">;
  readonly log: Pick<Log, "info" | "warn">;
  read<T>(body: (view: StateView) => T): T;
  submit(command: Command): Promise<CommandResult>;
  /** One HTTP request. Never throws. */
  send(
    message: { org: Name; url: string; headers: Readonly<Record<string, string>>; body: string },
    signal: AbortSignal,
  ): Promise<Attempt>;
  now(): number;
  random(): number;
}

/** Another process delivers now. */
export class Deposed extends Error {}

/** An idle look, in case a wake was lost; a webhook's own times are met exactly. */
const IDLE_MS = 5_000;
/** How often a place that only moved over unwanted events is written down. */
const SAVE_MS = 10_000;

/**
 * Delivers to one webhook until it is gone or `signal` aborts. The place is written after each attempt, over the one that was
 * read: a crash between the answer and the write repeats that one delivery, under the same id.
 * @throws Deposed; whatever the bus throws when it does not answer
 */
export async function runWebhook(
  context: HookContext,
  options: { org: Name; id: string; wake: Wake; signal: AbortSignal },
): Promise<void> {
  const { org, id, wake, signal } = options;
  const key = `progress.${org}.${id}`;
  let saved: HookValue<Progress> | undefined = await context.hooks.read<Progress>(key);
  let savedMs = context.now();
  const save = async (progress: Progress): Promise<void> => {
    const revision = await context.hooks.write(key, progress, saved?.revision ?? 0);
    if (revision === undefined) throw new Deposed(`someone else delivers to ${id}`);
    saved = { value: progress, revision };
    savedMs = context.now();
  };
  let progress = saved?.value;
  while (!signal.aborted) {
    const nowMs = context.now();
    const next = context.read((view) => {
      const webhook = findWebhook(view, org, id);
      if (webhook === undefined) return undefined;
      return {
        webhook,
        plan: planDelivery(view, webhook, { progress: progress ?? firstProgress(webhook), nowMs }),
      };
    });
    if (next === undefined) return;
    progress = next.plan.progress;
    if (next.plan.kind === "send") {
      progress = await deliver(context, { webhook: next.webhook, plan: next.plan, save, signal });
      continue;
    }
    const changed = JSON.stringify(progress) !== JSON.stringify(saved?.value);
    if (changed && nowMs - savedMs > SAVE_MS) await save(progress);
    if (next.plan.kind === "again") await new Promise(setImmediate);
    else
      await wake.wait(Math.max(0, Math.min((next.plan.untilMs ?? nowMs + IDLE_MS) - nowMs, IDLE_MS)), signal);
  }
}

async function deliver(
  context: HookContext,
  options: {
    webhook: WebhookRecord;
    plan: Plan & { kind: "send" };
    save(progress: Progress): Promise<void>;
    signal: AbortSignal;
  },
): Promise<Progress> {
  const { webhook, plan, save, signal } = options;
  const { item } = plan;
  const message = messageOf(webhook, item, context.now());
  const startMs = context.now();
  const attempt = await attemptOf(context, { webhook, message, signal });
  // Cut off by the shutdown: it is as if it had not been tried.
  if (signal.aborted) return plan.progress;
  const nowMs = context.now();
  const outcome = afterAttempt(plan, attempt, { nowMs, jitter: context.random() });
  if (outcome.disable !== undefined && item.from !== "request")
    await disable(context, webhook, {
      project: item.event.project,
      failures: outcome.progress.failures,
      reason: outcome.disable,
    });
  await save(outcome.progress);
  await context.hooks.record(webhook.org, {
    webhook: webhook.id,
    id: message.id,
    type: message.type,
    cursor: item.event === undefined ? null : formatCursor(item.event),
    at: new Date(startMs).toISOString(),
    attempt: item.from === "request" ? 1 : item.attempt,
    result: outcome.result,
    status: attempt.status,
    error: attempt.error,
    duration_ms: nowMs - startMs,
    next_attempt_at: outcome.nextMs === undefined ? null : new Date(outcome.nextMs).toISOString(),
  });
  return outcome.progress;
}

async function attemptOf(
  context: HookContext,
  options: { webhook: WebhookRecord; message: CloudEvent; signal: AbortSignal },
): Promise<Attempt> {
  const { webhook, message, signal } = options;
  let secret: string;
  try {
    secret = context.secrets.open(webhook.sealed_secret, webhook);
  } catch {
    context.log.warn({ webhook: webhook.id }, "its secret was sealed with another webhooks.key; rotate it");
    return {
      status: null,
      error: "the farm cannot read the webhook's secret: rotate it",
      retryAfterMs: undefined,
    };
  }
  const body = JSON.stringify(message);
  const headers = {
    "content-type": "application/cloudevents+json; charset=utf-8",
    "user-agent": "granary-webhooks",
    ...signWebhook({ id: message.id, timestampMs: context.now(), body, secret }),
  };
  return context.send({ org: webhook.org, url: webhook.url, headers, body }, signal);
}

function messageOf(
  webhook: WebhookRecord,
  item: (Plan & { kind: "send" })["item"],
  nowMs: number,
): CloudEvent {
  if (item.event !== undefined) return renderEvent(item.event, webhook.format ?? "granary");
  const seq = item.from === "request" ? item.request.seq : 0;
  return {
    specversion: "1.0",
    id: pingId(webhook.id, seq),
    source: `/orgs/${webhook.org}`,
    type: "dev.granary.webhook.ping.v1",
    subject: webhook.id,
    time: new Date(nowMs).toISOString(),
    datacontenttype: "application/json",
    sequence: String(seq).padStart(12, "0"),
    granarycursor: formatCursor({ seq, k: 0 }),
    data: { webhook_id: webhook.id },
  };
}

function pingId(webhookId: string, seq: number): string {
  return `ping/${webhookId}/${seq}`;
}

/** The id follows from what is disabled: a repeated command is the same one. */
async function disable(
  context: HookContext,
  webhook: WebhookRecord,
  why: { project: Name; failures: number; reason: string },
): Promise<void> {
  const { id, org, revision } = webhook;
  const hash = createHash("sha256")
    .update(JSON.stringify([org, id, revision]))
    .digest("hex");
  const { project, failures, reason } = why;
  await context.submit({
    v: 1,
    id: `cmd_${hash.slice(0, 40)}`,
    actor: { kind: "system", id: "hooks" },
    org,
    project,
    body: { type: "webhook.disable", webhook_id: id, revision, failures, reason },
  });
  context.log.warn({ webhook: id, org, failures, reason }, "a webhook was disabled");
}
