import type { CommandValue } from "../../../proto/commands.ts";
import { LIMITS } from "../../../proto/limits.ts";
import type {
  WebhookAskCommand,
  WebhookCreateCommand,
  WebhookDisableCommand,
  WebhookRemoveCommand,
  WebhookUpdateCommand,
} from "../../../proto/webhook-commands.ts";
import type { WebhookRecord } from "../../../proto/webhooks.ts";
import { KEYS, RANGES } from "../../shared/state-keys.ts";
import type { Step } from "./step.ts";

const CHANGED: CommandValue = { type: "done", changed: true };
const UNCHANGED: CommandValue = { type: "done", changed: false };

/** `webhook.create`: refuses an id that is taken with STATE_CONFLICT, one too many with QUOTA_EXCEEDED. */
export function createWebhook(step: Step, body: WebhookCreateCommand): CommandValue {
  const { org, actor } = step.command;
  const { webhook_id: id, webhook_project: project } = body;
  if (step.get(KEYS.org(org)) === undefined) step.refuse("NOT_FOUND", `there is no org ${org}`);
  if (step.get(KEYS.webhook(org, id)) !== undefined)
    step.refuse("STATE_CONFLICT", `the webhook ${id} exists`, { webhook_id: id });
  const limit = LIMITS.webhooksPerOrg;
  if ([...step.range(RANGES.webhooks(org), { limit })].length >= limit)
    step.refuse("QUOTA_EXCEEDED", `${org} has ${limit} webhooks`, { limit });
  step.put(KEYS.webhook(org, id), {
    id,
    org,
    ...(project !== undefined && { project }),
    url: body.url,
    types: body.types,
    ...(body.format !== undefined && { format: body.format }),
    sealed_secret: body.sealed_secret,
    enabled: true,
    created_at: step.at,
    created_by: actor,
    created_seq: step.seq,
    revision: step.seq,
    requests: [],
  });
  return CHANGED;
}

/** `webhook.update`: whatever it changes, failures so far are forgotten. */
export function updateWebhook(step: Step, body: WebhookUpdateCommand): CommandValue {
  const { disabled_reason, ...webhook } = find(step, body.webhook_id);
  const enabled = body.enabled ?? webhook.enabled;
  step.put(KEYS.webhook(webhook.org, webhook.id), {
    ...webhook,
    ...(body.url !== undefined && { url: body.url }),
    ...(body.types !== undefined && { types: body.types }),
    ...(body.format !== undefined && { format: body.format }),
    ...(body.sealed_secret !== undefined && { sealed_secret: body.sealed_secret }),
    enabled,
    ...(!enabled && disabled_reason !== undefined && { disabled_reason }),
    revision: step.seq,
  });
  return CHANGED;
}

export function removeWebhook(step: Step, body: WebhookRemoveCommand): CommandValue {
  const webhook = find(step, body.webhook_id);
  step.remove(KEYS.webhook(webhook.org, webhook.id));
  return CHANGED;
}

/** `webhook.ask`: the oldest of too many is forgotten. */
export function askWebhook(step: Step, body: WebhookAskCommand): CommandValue {
  const webhook = find(step, body.webhook_id);
  const requests = [...webhook.requests, { ...body.ask, seq: step.seq }].slice(-LIMITS.webhookRequests);
  step.put(KEYS.webhook(webhook.org, webhook.id), { ...webhook, requests });
  return CHANGED;
}

/** `webhook.disable`: without effect when someone changed the webhook after the failures, or it is gone. */
export function disableWebhook(step: Step, body: WebhookDisableCommand): CommandValue {
  const { org } = step.command;
  const webhook = step.get(KEYS.webhook(org, body.webhook_id));
  if (webhook === undefined || !webhook.enabled || webhook.revision !== body.revision) return UNCHANGED;
  step.openProject();
  step.put(KEYS.webhook(org, webhook.id), {
    ...webhook,
    enabled: false,
    disabled_reason: body.reason,
    revision: step.seq,
  });
  const { failures, reason } = body;
  step.emit("webhook.disabled", webhook.id, { webhook_id: webhook.id, failures, reason });
  return CHANGED;
}

function find(step: Step, id: string): WebhookRecord {
  const { org } = step.command;
  const webhook = step.get(KEYS.webhook(org, id));
  return webhook ?? step.refuse("NOT_FOUND", `there is no webhook ${id}`);
}
