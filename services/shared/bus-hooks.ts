import {
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
} from "@nats-io/jetstream";
import { GranaryError } from "../../proto/errors.ts";
import { STREAMS, SUBJECTS } from "../../proto/subjects.ts";
import type { WebhookDelivery } from "../../proto/webhooks.ts";

/** A value of the deliverers, and the revision that the next write has to name. */
export interface HookValue<T> {
  readonly value: T;
  readonly revision: number;
}

/**
 * What processes of the role `hooks` share: one value per key, written only over the revision that was read (so that two never both
 * believe that they deliver), and the log of deliveries, bounded per webhook.
 */
export interface HookBus {
  read<T>(key: string): Promise<HookValue<T> | undefined>;
  /** @param over the revision that was read; 0: there was none. @returns the new one; undefined: someone else wrote meanwhile */
  write<T>(key: string, value: T, over: number): Promise<number | undefined>;
  record(org: string, delivery: WebhookDelivery): Promise<void>;
  /** The newest attempts of a webhook, newest first. @throws GranaryError UNAVAILABLE */
  deliveries(org: string, webhookId: string): Promise<readonly WebhookDelivery[]>;
}

const TIMEOUT_MS = 2_000;

export function hookBus(bus: { js: JetStreamClient; manager: JetStreamManager }): HookBus {
  return {
    async read<T>(key: string) {
      try {
        const message = await bus.manager.streams.getMessage(STREAMS.hooks, {
          last_by_subj: `${SUBJECTS.hooks}.${key}`,
        });
        return message === null ? undefined : { value: message.json<T>(), revision: message.seq };
      } catch (error) {
        if (isCode(error, JetStreamApiCodes.NoMessageFound)) return undefined;
        throw error;
      }
    },

    async write(key, value, over) {
      try {
        const ack = await bus.js.publish(`${SUBJECTS.hooks}.${key}`, JSON.stringify(value), {
          expect: { lastSubjectSequence: over },
          timeout: TIMEOUT_MS,
        });
        return ack.seq;
      } catch (error) {
        if (isCode(error, JetStreamApiCodes.StreamWrongLastSequence)) return undefined;
        throw error;
      }
    },

    async record(org, delivery) {
      await bus.js.publish(`${SUBJECTS.deliveries}.${org}.${delivery.webhook}`, JSON.stringify(delivery), {
        timeout: TIMEOUT_MS,
      });
    },

    deliveries: (org, webhookId) => orUnavailable(() => newest(org, webhookId)),
  };

  async function newest(org: string, webhookId: string): Promise<readonly WebhookDelivery[]> {
    const consumer = await bus.js.consumers.get(STREAMS.deliveries, {
      filter_subjects: `${SUBJECTS.deliveries}.${org}.${webhookId}`,
    });
    const { num_pending: waiting } = await consumer.info();
    const found: WebhookDelivery[] = [];
    if (waiting > 0) {
      const messages = await consumer.fetch({ max_messages: waiting, expires: TIMEOUT_MS });
      for await (const message of messages) found.push(message.json<WebhookDelivery>());
    }
    await consumer.delete();
    return found.reverse();
  }
}

/** A nats-server that restarts is no failure of ours. */
async function orUnavailable<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    if (cause instanceof JetStreamApiError) throw cause;
    const message = "the nats-server does not answer: it has the log of deliveries";
    throw new GranaryError("UNAVAILABLE", message, { retry_after_s: 2 }, { cause });
  }
}

function isCode(error: unknown, code: number): boolean {
  return error instanceof JetStreamApiError && error.code === code;
}
