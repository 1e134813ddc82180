import { randomUUID } from "node:crypto";
import { type ErrorCode, GranaryError } from "../../../proto/errors.ts";
import type { CurrentJson, PublishJson } from "../../../proto/http.ts";
import { type ApiClient, readAnswer } from "../http/api-client.ts";
import { openRequest } from "../http/open-request.ts";
import { mayHaveHappened } from "../http/outcome-unknown.ts";
import { withRetries } from "../http/with-retries.ts";
import { formatBytes, formatDuration, plural, printable } from "../output/format.ts";
import type { Output } from "../output/output.ts";
import { createProgress } from "../output/progress.ts";
import { HashCache } from "../tree/hash-cache.ts";
import { hashEntries } from "../tree/hash-entries.ts";
import type { WalkedDirectory } from "../tree/walk-directory.ts";
import type { Environment } from "../verb-context.ts";
import { type DirectoryPlan, planDirectory } from "./plan-directory.ts";
import { sendMissing } from "./send-missing.ts";

export interface DirectoryPublish {
  /** `/v1/orgs/O/projects/P`. */
  readonly path: string;
  readonly walked: WalkedDirectory;
  /** Looks at the directory again, after something in it changed. */
  readonly walkAgain: () => WalkedDirectory;
  readonly body: Readonly<Record<string, string | boolean | undefined>>;
  /** Undefined: one is made for every content that is committed. */
  readonly idempotencyKey: string | undefined;
  readonly ifChanged: boolean;
  /** Time that is left for all of it. */
  readonly patienceMs: () => number;
  readonly output: Output;
  readonly env: Environment;
  /** Follows an accepted publish to its end, or answers it as it is. */
  readonly follow: (accepted: PublishJson) => Promise<PublishJson>;
  /** Told of the key when a request for the publish went out and no answer came. */
  readonly onUnknown: (key: string) => void;
}

export type DirectoryOutcome =
  | { readonly kind: "published"; readonly publish: PublishJson; readonly before: CurrentJson | undefined }
  /** What is live has the same image: nothing was published. */
  | { readonly kind: "unchanged"; readonly current: CurrentJson };

/** Plans of one invocation at most: content that goes while it is being planned is the exception, twice a fault. */
const PLANS_MAX = 3;
const PLAN_AGAIN: ReadonlySet<ErrorCode> = new Set(["CONTENT_GONE", "SESSION_UNKNOWN", "UPLOAD_OFFSET"]);
/** A file is not what was listed: noticed here, or by the farm. */
const CHANGED: ReadonlySet<ErrorCode> = new Set(["STATE_CONFLICT", "DIGEST_INVALID"]);
const IDLE_MS = 30_000;

/**
 * Publishes a directory by have/want: hash here, send the listing, send what is missing, commit. Files that change meanwhile are
 * read once more, content that the farm lost meanwhile is planned again.
 * @throws GranaryError STATE_CONFLICT naming a file that keeps changing, the farm's refusal
 */
export async function publishDirectory(api: ApiClient, job: DirectoryPublish): Promise<DirectoryOutcome> {
  const keys = new Map<string, string>();
  const keyOf = (tree: string): string => {
    const key = job.idempotencyKey ?? keys.get(tree) ?? randomUUID();
    keys.set(tree, key);
    return key;
  };
  let attempt: Attempt = { walked: job.walked, cache: new HashCache(job.walked.root, job.env), keyOf };
  let changed = false;
  for (let plans = 1; ; plans++) {
    try {
      return await publishOnce(api, job, attempt);
    } catch (error) {
      const remedy = plans < PLANS_MAX ? remedyOf(error) : undefined;
      if (remedy === undefined || (remedy === "read again" && changed)) throw error;
      job.output.note(`${printable(messageOf(error))}; ${REMEDIES[remedy]}`);
      if (remedy === "plan again") continue;
      changed = true;
      attempt = { walked: job.walkAgain(), cache: undefined, keyOf };
    }
  }
}

const REMEDIES = { "plan again": "planning again", "read again": "reading the directory once more" } as const;

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function remedyOf(error: unknown): keyof typeof REMEDIES | undefined {
  if (!(error instanceof GranaryError)) return undefined;
  if (PLAN_AGAIN.has(error.code)) return "plan again";
  return CHANGED.has(error.code) && typeof error.detail["path"] === "string" ? "read again" : undefined;
}

interface Attempt {
  readonly walked: WalkedDirectory;
  readonly cache: HashCache | undefined;
  /** The same key for the same tree: a commit whose answer was lost is not a second publish. */
  readonly keyOf: (tree: string) => string;
}

async function publishOnce(
  api: ApiClient,
  job: DirectoryPublish,
  attempt: Attempt,
): Promise<DirectoryOutcome> {
  const { output, path } = job;
  const { walked, cache } = attempt;
  const hashing = createProgress(output, "hashing", walked.sizeBytes);
  const entries = await hashEntries(walked, { signal: api.signal, cache, onHashed: hashing.add }).finally(
    hashing.end,
  );
  const plan = await retried(api, job, () =>
    planDirectory(api, path, entries, { dryRun: false, ifChanged: job.ifChanged }),
  );
  const { current, session } = plan.answer;
  if (job.ifChanged && current !== undefined && session === undefined) return { kind: "unchanged", current };
  const upload = `${path}/uploads/${session ?? ""}`;
  await sendContent(api, job, { plan, upload, root: walked.root });
  const key = attempt.keyOf(plan.tree);
  const accepted = await retried(api, job, () =>
    commit(api, { path: `${upload}:commit`, key, body: job.body }).catch((error: unknown) => {
      if (mayHaveHappened(error)) job.onUnknown(key);
      throw error;
    }),
  );
  const publish = await job.follow(accepted);
  if (publish.error !== undefined && (PLAN_AGAIN.has(publish.error.code) || CHANGED.has(publish.error.code)))
    throw new GranaryError(publish.error.code, publish.error.detail, {
      ...publish.error.params,
      publish_id: publish.publish_id,
    });
  checkTree(publish, plan.tree);
  return { kind: "published", publish, before: current };
}

async function sendContent(
  api: ApiClient,
  job: DirectoryPublish,
  { plan, upload, root }: { plan: DirectoryPlan; upload: string; root: string },
): Promise<void> {
  const { output } = job;
  const { missing_bytes: sizeBytes, missing_blobs: blobs } = plan.answer;
  const listing = `a listing of ${formatBytes(plan.listingBytes)}`;
  if (sizeBytes === 0) {
    output.note(`sent ${listing}; the farm has all contents`);
    return;
  }
  const started = performance.now();
  const sending = createProgress(output, "sending", sizeBytes);
  await sendMissing(api, {
    path: upload,
    root,
    files: plan.missing,
    sizeBytes,
    patienceMs: job.patienceMs(),
    onSent: sending.add,
    onRetry: (failure, waitMs) =>
      output.note(`${printable(failure.message)}; going on in ${formatDuration(waitMs)}`),
  }).finally(sending.end);
  const took = formatDuration(performance.now() - started);
  output.note(`sent ${listing} and ${plural(blobs, "content")} of ${formatBytes(sizeBytes)} in ${took}`);
}

function retried<T>(api: ApiClient, job: DirectoryPublish, action: () => Promise<T>): Promise<T> {
  return withRetries(
    {
      signal: api.signal,
      patienceMs: job.patienceMs(),
      retryNoFarm: true,
      onRetry: (failure, waitMs) =>
        job.output.note(`${printable(failure.message)}; trying again in ${formatDuration(waitMs)}`),
    },
    action,
  );
}

async function commit(
  api: ApiClient,
  about: { path: string; key: string; body: DirectoryPublish["body"] },
): Promise<PublishJson> {
  const body = JSON.stringify(about.body);
  const { request, response } = openRequest({
    method: "POST",
    url: api.target(about.path),
    farmUrl: api.url,
    headers: await api.headers({
      "content-type": "application/json",
      "content-length": String(Buffer.byteLength(body)),
      "idempotency-key": about.key,
    }),
    signal: api.signal,
    idleMs: IDLE_MS,
  });
  request.end(body);
  return (await readAnswer<PublishJson>(await response, api.url)).body;
}

function checkTree({ publish_id, release }: PublishJson, sent: string): void {
  if (release === undefined || release.tree === sent) return;
  throw new GranaryError("VERIFY_MISMATCH", `the farm read tree ${release.tree}, but ${sent} was sent`, {
    publish_id,
    expected: sent,
    actual: release.tree,
  });
}
