import { createHash, randomBytes } from "node:crypto";
import { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import type { z } from "zod";
import type { Command, CommandBody, CommandValue } from "../../proto/commands.ts";
import { GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";
import { type Name, parseName } from "../../proto/names.ts";
import type { Scope } from "../../proto/records.ts";
import { authenticate, authorize, type Principal, requireScope } from "../shared/authenticate.ts";
import type { HttpRequest } from "../shared/http-server.ts";
import { findProject, findTokenByHash } from "../shared/state-queries.ts";
import { newId } from "../shared/submit-command.ts";
import { admitCommand } from "./admit-command.ts";
import type { ApiContext } from "./context.ts";
import { withList } from "./listed-by.ts";

/** Where a request acts and who makes it, after every check. */
export interface Scoped {
  readonly principal: Principal;
  readonly org: Name;
  readonly project: Name;
}

export function principalOf(context: ApiContext, request: HttpRequest): Principal {
  context.assertConfirmed();
  return authenticate(request.headers.authorization, {
    tokenByHash: (hash) => context.read((view) => findTokenByHash(view, hash)),
    now: context.now,
  });
}

/** Names from the path, checked against the token. @throws GranaryError UNAUTHENTICATED, NAME_INVALID, NOT_FOUND, FORBIDDEN */
export function scoped(context: ApiContext, request: HttpRequest, scope: Scope): Scoped {
  const principal = principalOf(context, request);
  const params = request.params as { org: string; project: string };
  const org = parseName(params.org, "org");
  const project = parseName(params.project, "project");
  authorize(principal, scope, { org, project });
  return { principal, org, project };
}

/**
 * The org of the path, for who administers its access: not with a token that is bound to a project.
 * @throws GranaryError UNAUTHENTICATED, NAME_INVALID, NOT_FOUND, FORBIDDEN
 */
export function orgAdmin(context: ApiContext, request: HttpRequest): { principal: Principal; org: Name } {
  const principal = principalOf(context, request);
  const org = parseName((request.params as { org: string }).org, "org");
  authorize(principal, "token:admin", { org });
  if (principal.project !== undefined) requireScope(principal, "farm:admin");
  return { principal, org };
}

/** {@link scoped} for what either of two scopes allows. */
export function scopedByEither(
  context: ApiContext,
  request: HttpRequest,
  scopes: readonly [Scope, Scope],
): Scoped {
  const [first, second] = scopes;
  return scoped(context, request, principalOf(context, request).scopes.has(second) ? second : first);
}

/**
 * @param body undefined when the request has none, which is the same as `{}`
 * @throws GranaryError USAGE with the JSON pointer (RFC 6901) of the first wrong field
 */
export function parseBody<T>(schema: z.ZodType<T>, body: unknown = {}): T {
  const json = jsonOf(body) === undefined ? {} : body;
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const unknown = issue?.code === "unrecognized_keys" ? issue.keys[0] : undefined;
  const pointer = jsonPointer([...(issue?.path ?? []), ...(unknown === undefined ? [] : [unknown])]);
  const what =
    unknown !== undefined ? "no such field" : isMissing(json, issue) ? "is missing" : issue?.message;
  throw new GranaryError("USAGE", `${pointer === "" ? "the body" : pointer}: ${what}`, { pointer });
}

function isMissing(body: unknown, issue: z.core.$ZodIssue | undefined): boolean {
  let value = body;
  for (const key of issue?.path ?? []) value = (value as Record<PropertyKey, unknown>)[key];
  return value === undefined;
}

/** A body of another type than JSON is handed over as a stream. @throws GranaryError USAGE */
function jsonOf(body: unknown): unknown {
  if (!(body instanceof Readable)) return body;
  // `curl -d ''` names a type, and sends nothing.
  if (body instanceof IncomingMessage && body.headers["content-length"] === "0") return undefined;
  throw new GranaryError("USAGE", "the body is no JSON: its content-type has to be application/json");
}

/** Names of fields are as long as whoever sent them likes. */
const POINTER_CHARS = 200;

function jsonPointer(path: readonly PropertyKey[]): string {
  const pointer = path.map((key) => `/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
  return pointer.length <= POINTER_CHARS ? pointer : `${pointer.slice(0, POINTER_CHARS)}...`;
}

export function query(request: HttpRequest, key: string): string | undefined {
  const value = (request.query as Record<string, string | string[] | undefined>)[key];
  if (Array.isArray(value))
    throw new GranaryError("USAGE", `the query parameter ${key} is given twice`, { pointer: `?${key}` });
  return value;
}

/** @throws GranaryError USAGE */
export function numberQuery(
  request: HttpRequest,
  key: string,
  bounds: { min: number; max: number; fallback: number },
): number {
  const text = query(request, key);
  if (text === undefined) return bounds.fallback;
  const value = Number(text);
  if (/^[0-9]{1,9}$/.test(text) && value >= bounds.min && value <= bounds.max) return value;
  throw new GranaryError("USAGE", `${key} must be a whole number from ${bounds.min} to ${bounds.max}`, {
    pointer: `?${key}`,
    limit: bounds.max,
  });
}

/** @throws GranaryError USAGE */
export function booleanQuery(request: HttpRequest, key: string): boolean | undefined {
  const text = query(request, key);
  if (text === undefined) return undefined;
  if (text === "true" || text === "1") return true;
  if (text === "false" || text === "0") return false;
  throw new GranaryError("USAGE", `${key} must be true or false`, { pointer: `?${key}` });
}

/** The client's Idempotency-Key, checked. @throws GranaryError USAGE */
export function idempotencyKey(request: HttpRequest): string | undefined {
  const value = request.headers["idempotency-key"];
  if (value === undefined) return undefined;
  if (
    typeof value !== "string" ||
    value === "" ||
    value.length > LIMITS.idempotencyKeyBytes ||
    !/^[\x21-\x7e]+$/.test(value)
  ) {
    throw new GranaryError(
      "USAGE",
      `Idempotency-Key must be 1 to ${LIMITS.idempotencyKeyBytes} visible ASCII characters`,
      { limit: LIMITS.idempotencyKeyBytes },
    );
  }
  return value;
}

interface Submission {
  readonly principal: Principal;
  readonly org: Name;
  readonly project?: Name;
  readonly body: CommandBody;
  /** The command names what this request has brought, an upload: it is a new one, whatever key there is. */
  readonly anew?: true;
}

/**
 * Makes a command of a request, submits it, and answers its value. A request that is repeated with its Idempotency-Key is the same
 * command: it has one effect, and its first result, refusals too.
 * @throws GranaryError what the state machine refused it with; RATE_LIMITED before it was stored
 */
export async function submitFor(
  context: ApiContext,
  request: HttpRequest,
  about: Submission,
): Promise<CommandValue> {
  const key = about.anew === true ? undefined : idempotencyKey(request);
  const command: Command = {
    v: 1,
    id: key === undefined ? newId("cmd") : keyedId(request, { ...about, type: about.body.type }, key),
    actor: about.principal.actor,
    org: about.org,
    ...(about.project === undefined ? {} : { project: about.project }),
    request_id: request.id,
    remote: request.ip,
    body: about.body,
  };
  const append = () => context.submit(command);
  // What was sent whole is not refused at its last step.
  const result = about.body.type === "accept" ? await append() : await admitCommand(about.org, append);
  if (result.ok) return result.value;
  const error = GranaryError.fromWire(result.error);
  const { org, project } = about;
  // Of a project that is not there nothing can be listed.
  const isThere =
    project === undefined || context.read((view) => findProject(view, { org, project })) !== undefined;
  throw isThere ? withList(error, about.body.type, about) : error;
}

/**
 * Where ids and secrets come from that a request makes: chance, and for one with an Idempotency-Key always the same bytes. Repeated it names the
 * same things again, and can be answered with a secret of which the state has no more than a hash.
 */
export function chanceFor(
  context: ApiContext,
  request: HttpRequest,
  about: Omit<Submission, "body" | "anew"> & { readonly type: CommandBody["type"] },
): { readonly nowMs: number; readonly random: (bytes: number) => Uint8Array } {
  const key = idempotencyKey(request);
  if (key === undefined) return { nowMs: context.now(), random: randomBytes };
  const random = context.webhooks.secrets.derive(keyedId(request, about, key));
  return { nowMs: Buffer.from(random(6)).readUIntBE(0, 6), random };
}

function keyedId(
  request: HttpRequest,
  { principal, org, project, type }: Omit<Submission, "body"> & { readonly type: CommandBody["type"] },
  key: string,
): string {
  const asked = [principal.tokenId, org, project, request.url, jsonOf(request.body) ?? null, key, type];
  const hash = createHash("sha256").update(JSON.stringify(asked)).digest("hex");
  return `cmd_${hash.slice(0, 40)}`;
}

/** A repeated request whose thing is not there: it was removed since, or made by an api with another `webhooks.key`. */
export function madeElsewhere(what: string): GranaryError {
  return new GranaryError(
    "STATE_CONFLICT",
    `the ${what} that this Idempotency-Key made is not there any more`,
    {
      hint: "Look what there is, and ask with another key.",
    },
  );
}
