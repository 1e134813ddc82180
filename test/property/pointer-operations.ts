import fc from "fast-check";
import type { CommandBody } from "../../proto/commands.ts";
import { digestOf } from "../../proto/digest.ts";
import type { Name } from "../../proto/names.ts";
import { acceptOf, artifactOf, START_MS, STATS } from "../services/pointer/machine.ts";
import type { ModelProject, ModelPublish } from "./model-project.ts";
import type { Model } from "./pointer-model.ts";

const DAY_MS = 24 * 3_600_000;

/** A command in terms of what happened before: `nth` picks one of the publishes of the project. */
export type Operation =
  | {
      op: "accept";
      content: number;
      commit: number;
      key: number;
      forceNew: boolean;
      activate: boolean;
      preview: number;
    }
  | {
      op: "publish";
      nth: number;
      what: "start" | "ready" | "fail" | "cancel" | "log";
      attempt: number;
      image: number;
    }
  | { op: "pointer"; what: "activate" | "rollback"; version: number; expected: number }
  | { op: "hold"; level: "" | "org." | "farm."; ms: number }
  | { op: "unhold"; level: "" | "org." | "farm." }
  | { op: "retire"; version: number }
  | { op: "set"; requireCommit: boolean; overtake: boolean | undefined }
  | {
      op: "preview";
      what: "pin" | "extend" | "remove" | "expire" | "promote";
      name: number;
      number: number;
    }
  | { op: "session"; what: "start" | "extend" | "end" | "expire"; id: number; ms: number }
  | { op: "repeat"; nth: number };

const small = (max: number) => fc.integer({ min: 0, max });
const level = fc.constantFrom("" as const, "" as const, "org." as const, "farm." as const);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant("accept" as const),
      content: small(3),
      commit: small(2),
      key: small(5),
      forceNew: fc.boolean(),
      activate: fc.boolean(),
      /** 0 and 1: production. */
      preview: small(3),
    }),
  },
  {
    weight: 9,
    arbitrary: fc.record({
      op: fc.constant("publish" as const),
      nth: fc.constantFrom(0, 0, 0, 1, 1, 2, 5),
      what: fc.constantFrom("start", "start", "ready", "ready", "ready", "fail", "cancel", "log"),
      attempt: small(2),
      image: small(3),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant("pointer" as const),
      what: fc.constantFrom("activate", "rollback"),
      version: small(4),
      expected: small(8),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant("hold" as const), level, ms: fc.constantFrom(0, 5, DAY_MS) }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("unhold" as const), level }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("retire" as const), version: small(4) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant("set" as const),
      requireCommit: fc.boolean(),
      overtake: fc.constantFrom(undefined, undefined, true, false),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant("preview" as const),
      what: fc.constantFrom("pin", "extend", "remove", "expire", "expire", "promote", "promote"),
      name: small(1),
      number: small(8),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constant("session" as const),
      what: fc.constantFrom("start", "start", "extend", "end", "expire", "expire"),
      id: small(2),
      ms: small(8),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("repeat" as const), nth: fc.nat(1_000) }) },
);
export const history = fc.array(
  fc.record({
    project: fc.constantFrom(0, 0, 0, 1),
    waitMs: fc.oneof(
      { weight: 20, arbitrary: fc.integer({ min: -5, max: 5 }) },
      { weight: 1, arbitrary: fc.constant(4 * DAY_MS) },
    ),
    operation,
  }),
  { minLength: 1, maxLength: 120, size: "max" },
);

/** The command that an operation stands for, after what the model knows. */
export function bodyOf(
  operation: Operation,
  { seq, project, model, logMs }: { seq: number; project: Name; model: Model; logMs: number },
): CommandBody {
  switch (operation.op) {
    case "accept":
      return acceptOf(`content ${operation.content}`, {
        publish_id: `pub_${seq}`,
        commit: operation.commit === 0 ? null : `${operation.commit}`.repeat(40),
        activate: operation.activate || operation.content > 1,
        ...(operation.forceNew && operation.key === 0 && { force_new: true }),
        ...(operation.key > 3 && { idempotency_key: `key ${operation.key}` }),
        ...(operation.key > 4 && { keeps_overtaken: true }),
        ...(operation.preview > 1 && { channel: `preview/pr-${operation.preview - 2}` }),
        ...(operation.preview > 1 && operation.content === 0 && { preview_ttl_ms: 3 }),
      });
    case "publish":
      return publishBody(operation, model.projects.get(project)?.publishes ?? []);
    case "pointer":
      return pointerBody(operation);
    case "hold":
      return {
        type: `${operation.level}hold`,
        reason: "freeze",
        ...(operation.ms > 0 && { until: new Date(logMs + operation.ms).toISOString() }),
        ...(operation.ms === DAY_MS && { keeps_endless: true }),
      };
    case "set":
      return {
        type: "project.set",
        settings: {
          require_commit: operation.requireCommit,
          ...(operation.overtake !== undefined && { overtake: operation.overtake }),
        },
      };
    case "retire":
      return { type: "retire", version: `v${operation.version + 1}` };
    case "preview":
      return previewBody(operation, model.projects.get(project));
    case "session":
      return sessionBody(operation, model.projects.get(project));
    case "unhold":
      return { type: `${operation.level}unhold` };
    case "repeat":
      return { type: "unhold" };
  }
}

function publishBody(
  operation: Extract<Operation, { op: "publish" }>,
  publishes: readonly ModelPublish[],
): CommandBody {
  const publish = publishes.at(-1 - operation.nth);
  const publish_id = publish?.id ?? "pub_none";
  if (operation.what === "cancel") return { type: "cancel", publish_id };
  // Mostly the attempt that fits; sometimes one too old.
  const fitting = (publish?.attempt ?? 0) + (operation.what === "start" ? 1 : 0);
  const attempt = Math.max(0, fitting + (operation.attempt === 2 ? -1 : 0));
  const by = { publish_id, attempt, node: "n1" };
  if (operation.what === "start") return { type: "start", ...by };
  if (operation.what === "log")
    return { type: "log", publish_id, attempt, log: { digest: digestOf(publish_id), size: 1 } };
  if (operation.what === "fail") {
    return { type: "fail", ...by, error: { code: "ARCHIVE_EMPTY", message: "", detail: {} } };
  }
  return { type: "ready", ...by, artifact: artifactOf(`image ${operation.image}`), stats: STATS };
}

function pointerBody(operation: Extract<Operation, { op: "pointer" }>): CommandBody {
  const expected = operation.expected > 4 ? {} : { expected_generation: operation.expected };
  const version = `v${operation.version + 1}`;
  if (operation.what === "activate") return { type: "activate", version, ...expected };
  return { type: "rollback", ...expected, ...(operation.version > 2 && { to: version }) };
}

function previewBody(
  operation: Extract<Operation, { op: "preview" }>,
  project: ModelProject | undefined,
): CommandBody {
  const { what, number } = operation;
  const name = `pr-${operation.name}` as Name;
  switch (what) {
    case "extend":
      return { type: "preview.extend", name, ...(number > 4 && { ttl_ms: number }) };
    case "expire": {
      const endsMs = project?.previews.get(`preview/${name}`)?.endsMs ?? START_MS;
      const seenMs = (Number.isFinite(endsMs) ? endsMs : START_MS) - (number < 3 ? 1 : 0);
      return { type: "preview.expire", name, expires_at: new Date(seenMs).toISOString() };
    }
    case "promote": {
      const expected = number > 4 ? {} : { expected_generation: number };
      return { type: "preview.promote", name, activate: number !== 8, ...expected };
    }
    default:
      return { type: `preview.${what}`, name };
  }
}

function sessionBody(
  operation: Extract<Operation, { op: "session" }>,
  project: ModelProject | undefined,
): CommandBody {
  const { what, ms } = operation;
  const session_id = `s${operation.id}`;
  switch (what) {
    case "end":
      return { type: "session.end", session_id, of_any: false };
    case "expire": {
      // Mostly what a sweeper sees; sometimes an end that has changed meanwhile.
      const seen = [...(project?.sessions ?? [["s0", { endsMs: START_MS }] as const])];
      const sessions = seen.map(([id, { endsMs }]) => ({
        session_id: id,
        expires_at: new Date(endsMs - (ms === 0 ? 1 : 0)).toISOString(),
      }));
      return { type: "session.expire", sessions };
    }
    default:
      return { type: "session.start", session_id, ttl_ms: ms + 1, extend: what === "extend", limit: 2 };
  }
}
