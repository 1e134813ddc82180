import { setTimeout as sleep } from "node:timers/promises";
import { JetStreamApiError, type JetStreamClient } from "@nats-io/jetstream";
import { ClosedConnectionError, NoRespondersError } from "@nats-io/transport-node";
import type { Command } from "../../proto/commands.ts";
import { GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import { commandSubject } from "../../proto/subjects.ts";
import type { BusConnection } from "./bus-connection.ts";

export interface Appended {
  /** Position in the log; that of the first append when the command was there already. */
  readonly seq: number;
}

/**
 * Appends a command to the log. The command id is the message id, so that the retries of one append, and repeated appends
 * within two minutes, are one command.
 * @throws GranaryError UNAVAILABLE when it certainly was not stored, OUTCOME_UNKNOWN when it may have been, BODY_TOO_LARGE
 */
export async function appendCommand(
  bus: { connection: BusConnection; js: JetStreamClient },
  command: Command,
  options: { deadlineMs: number },
): Promise<Appended> {
  const payload = Buffer.from(JSON.stringify(command));
  if (payload.byteLength > LIMITS.messageBytes - HEADER_ROOM_BYTES) {
    const detail = { actual: payload.byteLength, limit: LIMITS.messageBytes - HEADER_ROOM_BYTES };
    throw new GranaryError(
      "BODY_TOO_LARGE",
      `the command ${command.id} has ${payload.byteLength} bytes`,
      detail,
    );
  }
  const subject = commandSubject(command.org, command.project);
  const deadline = performance.now() + options.deadlineMs;
  let maybeStored = false;
  let lastError: unknown;
  for (let attempt = 0; ; attempt++) {
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) throw gaveUp(command, { maybeStored, cause: lastError });
    if (!bus.connection.connected) {
      // A message handed over now would lie in the client and be sent after we gave up.
      await sleep(Math.min(leftMs, RETRY_MS));
      continue;
    }
    try {
      const timeout = Math.min(leftMs, PUBLISH_TIMEOUT_MS);
      const ack = await bus.js.publish(subject, payload, { msgID: command.id, timeout });
      return { seq: ack.seq };
    } catch (error) {
      lastError = error;
      if (!isCertainlyNotStored(error)) maybeStored = true;
      await sleep(Math.min(RETRY_MS * 2 ** Math.min(attempt, 3), Math.max(0, deadline - performance.now())));
    }
  }
}

/** One publish: what is in flight when the link dies is not rejected, it waits for its own timeout. */
const PUBLISH_TIMEOUT_MS = 2_000;
const RETRY_MS = 50;
const HEADER_ROOM_BYTES = 4_096;

/** An answer of the API that refuses, or nobody there to take it: as opposed to an answer that did not arrive. */
function isCertainlyNotStored(error: unknown): boolean {
  if (error instanceof JetStreamApiError || error instanceof ClosedConnectionError) return true;
  for (let at: unknown = error; at instanceof Error; at = at.cause)
    if (at instanceof NoRespondersError) return true;
  return false;
}

function gaveUp(command: Command, end: { maybeStored: boolean; cause: unknown }): GranaryError {
  const detail = { command_id: command.id };
  const options = { cause: end.cause };
  return end.maybeStored
    ? new GranaryError("OUTCOME_UNKNOWN", `no answer came whether ${command.id} was stored`, detail, options)
    : new GranaryError("UNAVAILABLE", `the command log did not take ${command.id}`, detail, options);
}
