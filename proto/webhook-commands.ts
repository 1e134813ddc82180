import type { EventFormat } from "./cd-events.ts";
import type { Name } from "./names.ts";
import type { WebhookAsk } from "./webhooks.ts";

/** The signing secret comes sealed: the log, the state and backups of both never hold it in clear. */
export interface WebhookCreateCommand {
  readonly type: "webhook.create";
  readonly webhook_id: string;
  readonly url: string;
  readonly types: readonly string[];
  readonly webhook_project?: Name;
  readonly sealed_secret: string;
  readonly format?: EventFormat;
}

export interface WebhookUpdateCommand {
  readonly type: "webhook.update";
  readonly webhook_id: string;
  readonly url?: string;
  readonly types?: readonly string[];
  readonly sealed_secret?: string;
  readonly enabled?: boolean;
  readonly format?: EventFormat;
}

export interface WebhookRemoveCommand {
  readonly type: "webhook.remove";
  readonly webhook_id: string;
}

export interface WebhookAskCommand {
  readonly type: "webhook.ask";
  readonly webhook_id: string;
  readonly ask: WebhookAsk;
}

/** The deliverer gives the endpoint up, on an event of the command's project. No effect once the webhook was changed. */
export interface WebhookDisableCommand {
  readonly type: "webhook.disable";
  readonly webhook_id: string;
  /** The revision that failed. */
  readonly revision: number;
  readonly failures: number;
  readonly reason: string;
}
