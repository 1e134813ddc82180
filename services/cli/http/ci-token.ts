import { GranaryError } from "../../../proto/errors.ts";
import type { TokenJson } from "../../../proto/http.ts";
import { toFailure } from "../../shared/read-problem.ts";
import type { Sourced } from "../config/settings.ts";
import type { Environment } from "../verb-context.ts";
import { openRequest, parseJson, readBody } from "./open-request.ts";

const IDLE_MS = 30_000;
/** A token is exchanged anew this long before its end, where the CI system gives another id token. */
const MARGIN_MS = 60_000;

interface CiJob {
  readonly env: Environment;
  /** The farm, and what named it. */
  readonly url: Sourced;
  /** References that the command line gives: the org of the first `ORG/...` counts. */
  readonly named: readonly (string | undefined)[];
  readonly signal: AbortSignal;
  readonly userAgent: string;
}

/**
 * The token of a CI job that has an id token and no token of the farm: exchanged when it is first needed. GitHub Actions (with
 * `permissions: id-token: write`) gives as many id tokens as are asked for; `GRANARY_ID_TOKEN`, as GitLab's `id_tokens` set it, is one.
 * @returns undefined where there is no id token
 */
export function ciToken(job: CiJob): (() => Promise<string>) | undefined {
  const { env } = job;
  const fixed = env["GRANARY_ID_TOKEN"] || env["GRANARY_OIDC_TOKEN"];
  const github = env["ACTIONS_ID_TOKEN_REQUEST_URL"] && env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"];
  if (!fixed && !github) return undefined;
  let current: { readonly token: Promise<TokenJson>; renewMs: number } | undefined;
  return async () => {
    if (current === undefined || current.renewMs < Date.now()) {
      const fresh = { token: exchange(job, fixed), renewMs: Number.POSITIVE_INFINITY };
      current = fresh;
      fresh.token.then(
        ({ expires_at }) => {
          if (!fixed && expires_at !== null) fresh.renewMs = Date.parse(expires_at) - MARGIN_MS;
        },
        () => {
          // Whoever asks again may have more luck.
          fresh.renewMs = 0;
        },
      );
    }
    return (await current.token).token ?? "";
  };
}

/** What the id token must be for: the farm's url, unless the job's own environment says otherwise. */
function audienceOf({ env, url }: CiJob): string {
  const configured = env["GRANARY_OIDC_AUDIENCE"];
  if (!configured) return url.value;
  // Else a `.granary.toml` of a pull request could have a token for the farm sent elsewhere.
  if (url.source === "flag" || url.source === "environment") return configured;
  throw new GranaryError(
    "USAGE",
    `GRANARY_OIDC_AUDIENCE wants the farm from --url or GRANARY_URL, not from ${url.source}`,
  );
}

/** An id token is sent to the farm that it is for, and nowhere else. */
function checkedToken(token: string, job: CiJob): string {
  const audience = audienceOf(job);
  const { aud } = claimsOf(token);
  if (aud === audience || (Array.isArray(aud) && aud.includes(audience))) return token;
  throw new GranaryError(
    "USAGE",
    `the id token is for ${JSON.stringify(aud)}, not for ${audience}: set its aud, or GRANARY_OIDC_AUDIENCE`,
  );
}

/** https://docs.github.com/actions/reference/openid-connect-reference */
async function githubToken(job: CiJob): Promise<string> {
  const url = new URL(job.env["ACTIONS_ID_TOKEN_REQUEST_URL"] ?? "");
  url.searchParams.set("audience", audienceOf(job));
  const headers = {
    accept: "application/json",
    authorization: `Bearer ${job.env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]}`,
    "user-agent": job.userAgent,
  };
  const body = await send(job, { method: "GET", url, headers, of: url.origin });
  const value = (body as { value?: unknown } | null)?.value;
  if (typeof value === "string") return value;
  throw new GranaryError("UNAVAILABLE", `${url.origin} answered without an id token`);
}

async function exchange(job: CiJob, fixed: string | undefined): Promise<TokenJson> {
  const { org, project } = targetOf(job);
  const idToken = fixed ? checkedToken(fixed, job) : await githubToken(job);
  const body = JSON.stringify({ token: idToken, org, ...(project === undefined ? {} : { project }) });
  try {
    return (await send(job, {
      method: "POST",
      url: new URL(`${job.url.value}/v1/oidc/token`),
      headers: {
        "content-type": "application/json",
        "content-length": String(Buffer.byteLength(body)),
        "user-agent": job.userAgent,
      },
      body,
      of: job.url.value,
    })) as TokenJson;
  } catch (error) {
    if (!(error instanceof GranaryError) || error.code !== "ID_TOKEN_REFUSED") throw error;
    // The farm does not say why; what the job's own token says is no secret to the job.
    throw new GranaryError(error.code, `${error.message}; it says ${saidBy(idToken)}`, error.detail);
  }
}

async function send(
  job: CiJob,
  options: { method: string; url: URL; headers: Record<string, string>; body?: string; of: string },
): Promise<unknown> {
  const { method, url, headers, of } = options;
  const { request, response } = openRequest({
    method,
    url,
    farmUrl: of,
    headers,
    signal: job.signal,
    idleMs: IDLE_MS,
  });
  request.end(options.body);
  const answer = await response;
  const status = answer.statusCode ?? 0;
  const body = parseJson(await readBody(answer, of));
  if (status === 200) return body;
  throw toFailure({ status, body, retryAfter: answer.headers["retry-after"], url: of });
}

/** GRANARY_ORG, else the org of what the command line names; the project where that names one. @throws GranaryError USAGE */
function targetOf({ env, named }: CiJob): { org: string; project?: string } {
  for (const text of named) {
    const [, org, project] = /^([a-z0-9-]+)\/([a-z0-9-]+)(?:@.*)?$/.exec(text ?? "") ?? [];
    if (org !== undefined && project !== undefined) return { org, project };
  }
  const org = env["GRANARY_ORG"];
  if (org) return { org };
  throw new GranaryError(
    "USAGE",
    "an id token is exchanged for one org: name it as -p ORG/PROJECT, or set GRANARY_ORG",
  );
}

const TELLING = [
  "iss",
  "aud",
  "sub",
  "repository_id",
  "repository_owner_id",
  "project_id",
  "namespace_id",
  "ref",
  "ref_protected",
  "environment",
  "event_name",
];

function saidBy(token: string): string {
  const claims = claimsOf(token);
  const said = TELLING.filter((name) => claims[name] !== undefined);
  return said.map((name) => `${name}=${String(claims[name])}`).join(", ") || "nothing";
}

function claimsOf(token: string): Readonly<Record<string, unknown>> {
  const payload = parseJson(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"));
  return typeof payload === "object" && payload !== null ? (payload as Record<string, unknown>) : {};
}
