import { previewChannel } from "../../../proto/channel.ts";
import type { Command, CommandBody, CommandResult, CommandValue } from "../../../proto/commands.ts";
import { GranaryError } from "../../../proto/errors.ts";
import type { EventRecord } from "../../../proto/events.ts";
import type { StateTx } from "../../shared/state-db-tx.ts";
import { KEYS, STATE_VERSION } from "../../shared/state-keys.ts";
import { acceptPublish } from "./accept-publish.ts";
import { activateRelease } from "./activate-release.ts";
import { cancelPublish } from "./cancel-publish.ts";
import { claimSubscription } from "./claim-subscription.ts";
import { commitSubscription } from "./commit-subscription.ts";
import { createOrg } from "./create-org.ts";
import { createToken } from "./create-token.ts";
import { createTrust } from "./create-trust.ts";
import { endSession } from "./end-session.ts";
import { exchangeIdToken } from "./exchange-id-token.ts";
import { expirePreview } from "./expire-preview.ts";
import { expireSessions } from "./expire-sessions.ts";
import { extendPreview } from "./extend-preview.ts";
import { failPublish } from "./fail-publish.ts";
import { finishPublish } from "./finish-publish.ts";
import { holdProject } from "./hold-project.ts";
import { holdWider, unholdWider } from "./hold-wider.ts";
import { keepEndedLog } from "./keep-log.ts";
import { pinPreview } from "./pin-preview.ts";
import { promotePreview } from "./promote-preview.ts";
import { removeOrg } from "./remove-org.ts";
import { removePreview } from "./remove-preview.ts";
import { removeSubscription } from "./remove-subscription.ts";
import { removeTrust } from "./remove-trust.ts";
import { retireRelease } from "./retire-release.ts";
import { revokeToken } from "./revoke-token.ts";
import { rollBack } from "./roll-back.ts";
import { setNode } from "./set-node.ts";
import { setOrg } from "./set-org.ts";
import { setProject } from "./set-project.ts";
import { startPublish } from "./start-publish.ts";
import { startSession } from "./start-session.ts";
import { Refusal, Step } from "./step.ts";
import { trimEvents } from "./trim-events.ts";
import { trimExpired } from "./trim-expired.ts";
import { unholdProject } from "./unhold-project.ts";
import {
  askWebhook,
  createWebhook,
  disableWebhook,
  removeWebhook,
  updateWebhook,
} from "./webhook-commands.ts";

export interface LogPosition {
  readonly seq: number;
  /** The message's timestamp. */
  readonly timeMs: number;
  /** Told of each event that the command writes, inside the transaction. */
  readonly onEvent?: (event: EventRecord) => void;
}

/**
 * The state machine: applies the command at `seq`, which must be the one behind the last applied. The same commands give the
 * same state on every replica: no clock (time = max(last, message timestamp)), no randomness. A command id that was seen
 * before has no second effect and the same result.
 * @throws GranaryError STATE_BEHIND on a gap, STORE_FORMAT on a command that this version does not know: both halt the
 * replica, because skipping a command would make it differ from the others
 */
export function applyCommand(tx: StateTx, command: Command, at: LogPosition): CommandResult {
  const meta = tx.get(KEYS.meta()) ?? { version: STATE_VERSION, seq: 0, time_ms: 0 };
  if (at.seq !== meta.seq + 1) {
    const detail = { seq: at.seq, applied: meta.seq };
    throw new GranaryError("STATE_BEHIND", `command ${at.seq} arrived after ${meta.seq}`, detail);
  }
  if (command.v !== 1) throw unknownCommand(`version ${String(command.v)}`, at.seq);
  const timeMs = Math.max(meta.time_ms, at.timeMs);
  tx.put(KEYS.meta(), { version: STATE_VERSION, seq: at.seq, time_ms: timeMs });
  const known = tx.get(KEYS.command(command.id));
  if (known !== undefined) return known.result;

  const result = run(tx, command, { ...at, timeMs });
  tx.put(KEYS.command(command.id), { result, time_ms: timeMs });
  const place = isBrief(command.body) ? KEYS.briefCommandAt(at.seq) : KEYS.commandAt(at.seq);
  tx.put(place, { id: command.id, time_ms: timeMs });
  trimExpired(tx, timeMs);
  return result;
}

function run(tx: StateTx, command: Command, at: LogPosition): CommandResult {
  const step = new Step(tx, command, at);
  const audited = { action: command.body.type, ...reasonOf(command.body) };
  let value: CommandValue;
  try {
    value = dispatch(step, command.body);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (!isBrief(command.body))
      step.auditCommand({ ...audited, resource: resourceOf(command), code: error.wire.code });
    return { ok: false, seq: at.seq, error: error.wire };
  }
  if (isBrief(command.body)) return { ok: true, seq: at.seq, value };
  const ignored =
    (value.type === "ended" && !value.applied) ||
    (isSweep(command.body) && value.type === "done" && !value.changed);
  step.auditCommand({
    ...audited,
    resource: resourceOf(command, value),
    ...(ignored && { code: "STATE_CONFLICT" }),
  });
  step.close();
  return { ok: true, seq: at.seq, value };
}

const BRIEF: ReadonlySet<CommandBody["type"]> = new Set([
  "log",
  "session.start",
  "session.end",
  "session.expire",
  "subscription.claim",
  "subscription.commit",
]);

/**
 * Sessions and cursors are data of the applications, hundreds a second, and where a log lies changes nothing that anyone decided: neither
 * events nor audit rows, results for minutes only.
 */
function isBrief(body: CommandBody): boolean {
  return BRIEF.has(body.type);
}

function dispatch(step: Step, body: CommandBody): CommandValue {
  switch (body.type) {
    case "accept":
      return acceptPublish(step, body);
    case "start":
      return startPublish(step, body);
    case "ready":
      return finishPublish(step, body);
    case "fail":
      return failPublish(step, body);
    case "cancel":
      return cancelPublish(step, body);
    case "log":
      return keepEndedLog(step, body);
    case "activate":
      return activateRelease(step, body);
    case "rollback":
      return rollBack(step, body);
    case "hold":
      return holdProject(step, body);
    case "unhold":
      return unholdProject(step);
    case "project.set":
      return setProject(step, body);
    case "org.create":
      return createOrg(step);
    case "org.set":
      return setOrg(step, body);
    case "org.remove":
      return removeOrg(step);
    case "token.create":
      return createToken(step, body);
    case "token.revoke":
      return revokeToken(step, body);
    case "trust.create":
      return createTrust(step, body);
    case "trust.remove":
      return removeTrust(step, body);
    case "oidc.exchange":
      return exchangeIdToken(step, body);
    case "preview.pin":
      return pinPreview(step, body);
    case "preview.extend":
      return extendPreview(step, body);
    case "preview.remove":
      return removePreview(step, body);
    case "preview.expire":
      return expirePreview(step, body);
    case "preview.promote":
      return promotePreview(step, body);
    case "node.set":
      return setNode(step, body);
    case "retire":
      return retireRelease(step, body);
    case "org.hold":
    case "farm.hold":
      return holdWider(step, body);
    case "org.unhold":
    case "farm.unhold":
      return unholdWider(step, body);
    case "session.start":
      return startSession(step, body);
    case "session.end":
      return endSession(step, body);
    case "session.expire":
      return expireSessions(step, body);
    case "events.trim":
      return trimEvents(step, body);
    case "webhook.create":
      return createWebhook(step, body);
    case "webhook.update":
      return updateWebhook(step, body);
    case "webhook.remove":
      return removeWebhook(step, body);
    case "webhook.ask":
      return askWebhook(step, body);
    case "webhook.disable":
      return disableWebhook(step, body);
    case "subscription.claim":
      return claimSubscription(step, body);
    case "subscription.commit":
      return commitSubscription(step, body);
    case "subscription.remove":
      return removeSubscription(step, body);
    default:
      throw unknownCommand(
        `type ${JSON.stringify((body satisfies never as { type?: unknown }).type)}`,
        step.seq,
      );
  }
}

/** Sent by a sweeper for what it saw: something else may have been decided meanwhile. */
function isSweep(body: CommandBody): boolean {
  return (
    body.type === "preview.expire" ||
    body.type === "webhook.disable" ||
    body.type === "events.trim" ||
    (body.type === "retire" && body.automatic === true)
  );
}

function unknownCommand(what: string, seq: number): GranaryError {
  const message = `the command log has a command of unknown ${what} at ${seq}: a newer Granary wrote it`;
  return new GranaryError("STORE_FORMAT", message, { seq });
}

function reasonOf(body: CommandBody): { reason?: string } {
  return "reason" in body && body.reason !== undefined ? { reason: body.reason } : {};
}

/** What an audit row says was acted on: publish id, version, token id, else the project or org. */
function resourceOf(command: Command, value?: CommandValue): string {
  const { body } = command;
  if (value?.type === "pointer") return value.to;
  if (value?.type === "accepted") return value.publish_id;
  if (body.type === "node.set") return `node/${body.node}`;
  if ("name" in body) return previewChannel(body.name);
  if ("publish_id" in body) return body.publish_id;
  if ("version" in body) return body.version;
  if ("token_id" in body) return body.token_id;
  if ("trust_id" in body) return body.trust_id;
  if ("group" in body) return `subscription/${body.group}`;
  if (body.type === "farm.hold" || body.type === "farm.unhold") return "farm";
  if (body.type === "org.hold" || body.type === "org.unhold") return command.org;
  if ("webhook_id" in body) return body.webhook_id;
  if (body.type === "rollback" && body.to !== undefined) return body.to;
  return command.project ?? command.org;
}
