import {
  AckPolicy,
  DeliverPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
} from "@nats-io/jetstream";
import { type Msg, type NatsConnection, NoRespondersError } from "@nats-io/transport-node";
import { GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import { isName, type Name } from "../../proto/names.ts";
import {
  LANES,
  type Lane,
  type PublishJob,
  publishConsumer,
  publishJobSubject,
  STREAMS,
  SUBJECTS,
} from "../../proto/subjects.ts";

/** One hand-over of a job. An ack is not a lock: another node may hold the same job after {@link ACK_WAIT_MS}. */
export interface JobDelivery {
  readonly job: PublishJob;
  /** How often this message was handed out, this time included. A job that was published anew starts at 1 again. */
  readonly deliveries: number;
  /** The job is being worked on: call it at least every 10 s, from the main thread. */
  working(): void;
  /** The job is done; answers when the server knows. A lost ack means another delivery, which must be harmless. */
  ack(): Promise<void>;
  /** The job is to be handed out again, after `delayMs`. */
  nak(delayMs: number): void;
}

export interface OrgBacklog {
  readonly lane: Lane;
  readonly org: Name;
  /** Jobs in the queue, those that nodes work on included. */
  readonly jobs: number;
}

export interface JobQueue {
  /**
   * Answers the job's place in the queue; `full`: the org's quota of queued jobs is used up. Repeating it within two minutes is one
   * job. A server that crashes may lose the last jobs that it took. @throws when it may not be stored
   */
  publish(lane: Lane, job: PublishJob): Promise<{ readonly seq: number } | "full">;
  /** The highest place that was given out, of jobs that are done too. @throws when the bus does not answer */
  lastSeq(): Promise<number>;
  /**
   * The oldest job of an org that may be handed out now; undefined, after 20 ms, when there is none or the org works on
   * `maxAckPending` jobs.
   * @throws GranaryError UNAVAILABLE when the bus does not answer
   */
  pull(lane: Lane, org: Name, options?: { maxAckPending?: number }): Promise<JobDelivery | undefined>;
  /**
   * Hands out again at once what was handed out and not acknowledged, by forgetting the consumers. Only for whoever knows that no
   * node works on anything: a farm that starts with its own nats-server, whose jobs would else wait {@link ACK_WAIT_MS}.
   */
  releaseAll(): Promise<void>;
  /** Orgs with jobs. */
  backlog(): Promise<readonly OrgBacklog[]>;
}

const ACK_WAIT_MS = 30_000;
const INACTIVE_MS = 3_600_000;
const TIMEOUT_MS = 2_000;
/**
 * How long the server looks for a job before it says that there is none. Not `no_wait`: to a consumer at its cap 2.15.1 never
 * answers that at all, and the request stays in its queue.
 */
const PULL_WAIT_MS = 20;
const STREAM = STREAMS.publishJobs;
/** "maximum messages per subject exceeded": JetStream's own code, which the client does not name. */
const SUBJECT_FULL = 10_077;
/** "consumer already exists" with another configuration. */
const CONSUMER_EXISTS = 10_148;

export function jobQueue(bus: {
  nats: NatsConnection;
  js: JetStreamClient;
  manager: JetStreamManager;
}): JobQueue {
  const consumers = new Map<string, Promise<void>>();

  /** Consumers are made when an org is first asked for; the server forgets them after an hour without a pull. */
  const ensureConsumer = (lane: Lane, org: Name, maxAckPending: number): Promise<void> => {
    const name = publishConsumer(lane, org);
    const id = `${name} ${maxAckPending}`;
    let making = consumers.get(id);
    if (making === undefined) {
      making = createConsumer(bus.manager, { name, subject: publishJobSubject(lane, org), maxAckPending });
      consumers.set(id, making);
      making.catch(() => consumers.delete(id));
    }
    return making;
  };

  const pullOnce = async (name: string): Promise<Msg> => {
    const request = JSON.stringify({ batch: 1, expires: PULL_WAIT_MS * 1_000_000 });
    // A job arrives under its own subject, not the inbox's: the client's shared inbox would not recognize it.
    const options = { timeout: TIMEOUT_MS, noMux: true };
    return bus.nats.request(`$JS.API.CONSUMER.MSG.NEXT.${STREAM}.${name}`, request, options);
  };

  return {
    async publish(lane, job) {
      try {
        // One that waited for its turn again may be in the queue from before.
        const msgID = job.turn === undefined ? job.publish_id : `${job.publish_id}/${job.turn}`;
        const options = { msgID, timeout: TIMEOUT_MS };
        const { seq } = await bus.js.publish(publishJobSubject(lane, job.org), JSON.stringify(job), options);
        return { seq };
      } catch (error) {
        if (error instanceof JetStreamApiError && (error.code as number) === SUBJECT_FULL) return "full";
        throw error;
      }
    },

    async lastSeq() {
      return (await bus.manager.streams.info(STREAM)).state.last_seq;
    },

    async pull(lane, org, { maxAckPending = LIMITS.orgJobsAtOnce } = {}) {
      const name = publishConsumer(lane, org);
      for (let attempt = 0; ; attempt++) {
        try {
          await ensureConsumer(lane, org, maxAckPending);
          const message = await pullOnce(name);
          return message.headers?.code ? undefined : delivery(bus.nats, message);
        } catch (cause) {
          if (isNoResponders(cause) && attempt === 0) {
            // Nobody listens for this consumer: it was forgotten after its hour, or with a server that lost it.
            consumers.delete(`${name} ${maxAckPending}`);
            continue;
          }
          throw new GranaryError("UNAVAILABLE", `no answer to a pull for ${org}`, {}, { cause });
        }
      }
    },

    async releaseAll() {
      consumers.clear();
      for await (const consumer of bus.manager.consumers.list(STREAM)) {
        await bus.manager.consumers.delete(STREAM, consumer.name);
      }
    },

    async backlog() {
      const info = await bus.manager.streams.info(STREAM, { subjects_filter: SUBJECTS.allPublishJobs });
      return Object.entries(info.state.subjects ?? {}).flatMap(([subject, jobs]) => {
        const [lane, org] = subject.split(".").slice(3);
        const known = LANES.find((name) => name === lane);
        return known !== undefined && isName(org) ? [{ lane: known, org, jobs }] : [];
      });
    },
  };
}

async function createConsumer(
  manager: JetStreamManager,
  options: { name: string; subject: string; maxAckPending: number },
): Promise<void> {
  const limits = { max_ack_pending: options.maxAckPending };
  try {
    await manager.consumers.add(STREAM, {
      durable_name: options.name,
      filter_subject: options.subject,
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      ack_wait: ACK_WAIT_MS * 1_000_000,
      // The node counts deliveries and fails the publish: a message that the server gave up on would stay in the queue.
      max_deliver: -1,
      inactive_threshold: INACTIVE_MS * 1_000_000,
      ...limits,
    });
  } catch (error) {
    if (!(error instanceof JetStreamApiError && (error.code as number) === CONSUMER_EXISTS)) throw error;
    await manager.consumers.update(STREAM, options.name, limits);
  }
}

function delivery(nats: NatsConnection, message: Msg): JobDelivery {
  return {
    job: message.json<PublishJob>(),
    deliveries: deliveriesOf(message.reply ?? ""),
    working: () => {
      message.respond("+WPI");
    },
    async ack() {
      await nats.request(message.reply ?? "", "+ACK", { timeout: TIMEOUT_MS }).catch(() => undefined);
    },
    nak: (delayMs) => {
      message.respond(
        delayMs > 0 ? `-NAK ${JSON.stringify({ delay: Math.round(delayMs) * 1_000_000 })}` : "-NAK",
      );
    },
  };
}

/**
 * `$JS.ACK.<stream>.<consumer>.<deliveries>. ...`; the second form has `<domain>.<account>` in front of the stream (NATS 2.15,
 * ADR-15).
 */
function deliveriesOf(reply: string): number {
  const tokens = reply.split(".");
  return Number(tokens[tokens.length >= 11 ? 6 : 4] ?? 1);
}

function isNoResponders(error: unknown): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause)
    if (at instanceof NoRespondersError) return true;
  return error instanceof JetStreamApiError && error.code === JetStreamApiCodes.ConsumerNotFound;
}
