import { randomUUID } from "node:crypto";
import { statSync } from "node:fs";
import path from "node:path";
import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { CurrentJson, PublishJson, WhoamiJson } from "../../../proto/http.ts";
import { ARCHIVE_LIMITS } from "../../../proto/limits.ts";
import { type Name, parseName } from "../../../proto/names.ts";
import { TERMINAL_STATES } from "../../../proto/records.ts";
import type { FlagName } from "../../../proto/verbs.ts";
import type { ApiClient } from "../http/api-client.ts";
import { mayHaveHappened, outcomeUnknown } from "../http/outcome-unknown.ts";
import { isPassing, withRetries } from "../http/with-retries.ts";
import { formatBytes, formatDuration, plural, printable, shortCommit } from "../output/format.ts";
import type { Output } from "../output/output.ts";
import { createProgress } from "../output/progress.ts";
import { asGranaryError, problemDocument } from "../output/render-error.ts";
import { type ArchiveSource, openSource, type PublishSource } from "../publish/archive-source.ts";
import { type Deadline, notAccepted, startDeadline } from "../publish/deadline.ts";
import { describeLeftOut } from "../publish/describe-left-out.ts";
import { type DetectedCommit, detectCommit } from "../publish/detect-commit.ts";
import { fetchLimits } from "../publish/fetch-limits.ts";
import { reportRelease, reportUnchanged, writeOutputFile } from "../publish/report-release.ts";
import { resolveProject } from "../publish/resolve-project.ts";
import { stateNotes } from "../publish/state-notes.ts";
import { uploadArchive } from "../publish/upload-archive.ts";
import { LONG_WAIT_S, waitForPublish } from "../publish/wait-for-publish.ts";
import { projectPath } from "../references.ts";
import type { VerbContext, VerbHandler } from "../verb-context.ts";

type Context = VerbContext<FlagName<"publish">>;

/** What one invocation publishes, and where to. */
interface Job {
  readonly source: PublishSource;
  readonly org: Name;
  readonly project: Name;
  readonly commit: DetectedCommit;
  readonly deadline: Deadline;
}

/** What came of it; `before` was live before, for "was vN". */
type Outcome =
  | {
      readonly kind: "published";
      readonly publish: PublishJson;
      readonly before: CurrentJson | undefined;
    }
  | { readonly kind: "unchanged"; readonly current: CurrentJson };

/** Uploads of one invocation at most: the same key makes them one publish. */
const UPLOAD_ATTEMPTS = 16;

/** Publishes a directory, an archive or stdin, and waits for the end. */
export const publish: VerbHandler<"publish"> = async (context) => {
  const { output, flags, env, interrupted } = context;
  const deadline = startDeadline(flags.durationMs("timeout") ?? 0, interrupted);
  const patient = context.api();
  /** For all that comes before the farm has accepted it. */
  const api = patient.within(deadline.signal);
  const outputFile = env["GRANARY_OUTPUT_FILE"];
  let known: PublishJson | undefined;
  let unknown: string | undefined;
  /** The farm may have accepted it, though no answer came. */
  const onUnknown = (key: string): void => {
    unknown = key;
  };
  try {
    const job = await prepare(context, api, deadline);
    const follow = (accepted: PublishJson): Promise<PublishJson> => {
      known = accepted;
      unknown = undefined;
      const { publish_id: id, existing } = accepted;
      output.note(`publish ${id} ${existing === true ? "has done this before" : "was accepted"}`);
      return flags.has("no-wait")
        ? Promise.resolve(accepted)
        : followPublish(context, patient, { job, accepted });
    };
    const outcome = await publishSource(context, api, { job, follow, onUnknown });
    if (outcome.kind === "unchanged")
      return reportUnchanged({ output, outputFile, current: outcome.current });
    const { publish: ended, before } = outcome;
    if (!TERMINAL_STATES.has(ended.state)) return reportAccepted(context, ended, outputFile);
    return reportRelease({
      output,
      publish: ended,
      requireActive: flags.has("require-active"),
      outputFile,
      pasteable: context.pasteable,
      was: wasLive(before, ended),
    });
  } catch (error) {
    const { aborted: isOver, reason } = deadline.signal;
    const isLate = !interrupted.aborted && isOver && (error === reason || isAbort(error));
    const isUnknown = unknown !== undefined && (interrupted.aborted || isLate || isPassing(error));
    if (interrupted.aborted && !isUnknown) return detached(context, known);
    let failure = isLate ? notAccepted(deadline) : error;
    if (isUnknown && unknown !== undefined) failure = outcomeUnknown(isLate ? reason : error, unknown);
    writeOutputFile(outputFile, problemDocument(asGranaryError(failure)));
    throw failure;
  }
};

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

async function prepare(context: Context, api: ApiClient, deadline: Deadline): Promise<Job> {
  const { args, flags, output, env, cwd } = context;
  checkPreviewFlags(flags);
  const detect = (directory: string): Promise<DetectedCommit> =>
    detectCommit({ flag: flags.text("commit"), env, directory });
  // With an archive nothing takes long: farm, file and git are asked at once.
  const ahead = isDirectory(path.resolve(cwd, args[0] ?? "."))
    ? undefined
    : { source: begun(findSource(context, api)), commit: begun(detect(cwd)) };
  // Tells at once when there is no farm or no valid token: a large directory takes a while to list.
  const ownOrg = await publisherOrg(api, flags.text("preview") === undefined ? "publish" : "preview");
  const source = await (ahead?.source ?? findSource(context, api));
  if (source.kind === "archive" && flags.has("if-changed")) {
    throw new GranaryError(
      "USAGE",
      "--if-changed is for directories: an archive's image is known once it was read",
      {
        flag: "if-changed",
      },
    );
  }
  const walked = source.kind === "directory" ? source.walked : undefined;
  const named = resolveProject({
    flag: flags.text("project"),
    configured: context.settings().project,
    kartaName: source.kind === "directory" ? source.karta?.name : undefined,
    file: source.file,
  });
  const commit = await (ahead?.commit ?? detect(walked?.root ?? cwd));
  const org = named.org ?? ownOrg;
  const job: Job = {
    source,
    org,
    project: named.project,
    commit,
    deadline,
  };
  announce(output, job, named.source);
  return job;
}

/** The token's org. @throws GranaryError FORBIDDEN before anything is sent: to a listing the farm takes either scope */
async function publisherOrg(api: ApiClient, scope: "publish" | "preview"): Promise<Name> {
  const { org, scopes } = await api.get<WhoamiJson>("/v1/whoami");
  if (!scopes.includes(scope))
    throw new GranaryError("FORBIDDEN", `the token lacks the scope ${scope}`, { scope });
  return parseName(org, "org");
}

function isDirectory(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** It is awaited later: that it fails before is no unhandled rejection. */
function begun<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/** @throws GranaryError USAGE */
function checkPreviewFlags(flags: Context["flags"]): void {
  flags.durationMs("ttl");
  if (flags.text("preview") === undefined) {
    if (flags.text("ttl") === undefined) return;
    throw new GranaryError("USAGE", "--ttl is about a preview: name it with --preview NAME", { flag: "ttl" });
  }
  const flag = (["require-active", "if-changed"] as const).find((name) => flags.has(name));
  if (flag !== undefined)
    throw new GranaryError("USAGE", `--${flag} is about what is live; a preview never is`, { flag });
}

/** The usual limits are known here; the farm's are asked for when those are in the way. */
async function findSource(context: Context, api: ApiClient): Promise<PublishSource> {
  const { args, flags, cwd, stdin } = context;
  const options = {
    path: args[0] ?? ".",
    cwd,
    stdin,
    gitignore: flags.has("gitignore"),
    strip: flags.count("strip"),
  };
  try {
    return await openSource({ ...options, limits: ARCHIVE_LIMITS });
  } catch (error) {
    if (!(error instanceof GranaryError) || error.detail["limit"] === undefined) throw error;
    return openSource({ ...options, limits: await fetchLimits(api) });
  }
}

function announce(output: Output, job: Job, projectSource: string): void {
  const { source, commit } = job;
  const walked = source.kind === "directory" ? source.walked : undefined;
  const size =
    source.contentBytes === undefined
      ? ""
      : `: ${walked === undefined ? "" : `${plural(walked.fileCount, "file")}, `}${formatBytes(source.contentBytes)}`;
  output.note(
    `publishing ${printable(source.name)} as ${job.org}/${job.project} (named by ${projectSource})${size}`,
  );
  if (commit.commit === undefined)
    output.warn(`no commit is known: ${printable(commit.from)}; pass --commit SHA`);
  else
    output.note(
      `commit ${shortCommit(commit.commit)} from ${commit.from}${commit.dirty ? ", with uncommitted changes (dirty)" : ""}`,
    );
  for (const line of describeLeftOut(walked?.leftOut ?? [])) output.note(line);
  for (const warning of walked?.warnings ?? []) output.warn(printable(warning));
}

interface Following {
  readonly job: Job;
  readonly follow: (accepted: PublishJson) => Promise<PublishJson>;
  readonly onUnknown: (key: string) => void;
}

async function publishSource(
  context: Context,
  api: ApiClient,
  { job, follow, onUnknown }: Following,
): Promise<Outcome> {
  const { output, flags, env } = context;
  const { source } = job;
  if (source.kind === "archive") {
    const before = currentBefore(api, job.org, job.project);
    const publish = await follow(await sendArchive(context, api, { job, source, onUnknown }));
    return { kind: "published", publish, before: await before };
  }
  const { source: url, ...particulars } = queryOf(flags, job.commit);
  // An archive does not pay for what only directories need.
  const { publishDirectory } = await import("../publish/publish-directory.ts");
  return publishDirectory(api, {
    path: projectPath(job.org, job.project),
    walked: source.walked,
    walkAgain: source.walkAgain,
    body: { ...particulars, source: url },
    idempotencyKey: flags.text("idempotency-key"),
    ifChanged: flags.has("if-changed"),
    patienceMs: job.deadline.leftMs,
    output,
    env,
    follow,
    onUnknown,
  });
}

/**
 * What is live when the archive is sent, for what people are told; undefined when nothing is, and when it cannot be told: a first
 * publish has no project yet, and a publish token need not be able to read.
 */
async function currentBefore(api: ApiClient, org: Name, project: Name): Promise<CurrentJson | undefined> {
  return api.get<CurrentJson>(`${projectPath(org, project)}/current`).catch(() => undefined);
}

async function sendArchive(
  context: Context,
  api: ApiClient,
  { job, source, onUnknown }: Pick<Following, "job" | "onUnknown"> & { source: ArchiveSource },
): Promise<PublishJson> {
  const { output, flags } = context;
  const idempotencyKey = flags.text("idempotency-key") ?? randomUUID();
  const query = queryOf(flags, job.commit);
  return withRetries(
    {
      signal: api.signal,
      patienceMs: job.deadline.leftMs(),
      retryNoFarm: true,
      attempts: source.repeatable ? UPLOAD_ATTEMPTS : 1,
      onRetry: (failure, waitMs) =>
        output.note(`${printable(failure.message)}; sending it again in ${formatDuration(waitMs)}`),
    },
    async () => {
      const progress = createProgress(output, "sending", source.contentBytes);
      const started = performance.now();
      let sentBytes = 0;
      const opened = source.open();
      let isWhole = false;
      opened.stream.once("end", () => {
        isWhole = true;
      });
      const answer = await uploadArchive(api, {
        ...opened,
        path: `${projectPath(job.org, job.project)}/publishes`,
        query: {
          ...query,
          dirty: query.dirty?.toString(),
          activate: query.activate?.toString(),
          force_new: query.force_new?.toString(),
          strip: flags.count("strip"),
        },
        idempotencyKey,
        onSent: (bytes) => {
          sentBytes += bytes;
          progress.add(bytes);
        },
      })
        .catch((error: unknown) => {
          if (isWhole && mayHaveHappened(error)) onUnknown(idempotencyKey);
          throw error;
        })
        .finally(progress.end);
      output.note(`sent ${formatBytes(sentBytes)} in ${formatDuration(performance.now() - started)}`);
      return answer.body;
    },
  );
}

interface Particulars {
  readonly commit: string | undefined;
  readonly source: string | undefined;
  readonly dirty: true | undefined;
  readonly activate: false | undefined;
  readonly force_new: true | undefined;
  readonly preview: string | undefined;
  readonly ttl: string | undefined;
}

function queryOf(flags: Context["flags"], commit: DetectedCommit): Particulars {
  return {
    commit: commit.commit,
    source: flags.text("source") ?? commit.sourceUrl,
    dirty: commit.dirty ? true : undefined,
    activate: flags.has("no-activate") ? false : undefined,
    force_new: flags.has("force-new") ? true : undefined,
    preview: flags.text("preview"),
    ttl: flags.text("ttl"),
  };
}

async function followPublish(
  { output, pasteable }: Context,
  api: ApiClient,
  { job: { deadline, source }, accepted }: { job: Job; accepted: PublishJson },
): Promise<PublishJson> {
  if (TERMINAL_STATES.has(accepted.state) && (accepted.state !== "ready" || accepted.release !== undefined))
    return accepted;
  return waitForPublish(api, {
    publishId: accepted.publish_id,
    timeoutMs: deadline.timeoutMs,
    sinceMs: deadline.startedMs,
    again: pasteable("wait", accepted.publish_id),
    ...(source.kind === "directory" ? { firstWaitS: LONG_WAIT_S } : {}),
    onState: stateNotes(output, pasteable),
    onLost: (failure) => output.note(`${printable(failure.message)}; waiting for the farm to come back`),
  });
}

/** The version that was live before, if no other activation came between. */
function wasLive(before: CurrentJson | undefined, ended: PublishJson): string | undefined {
  return before !== undefined && ended.release?.generation === before.generation + 1
    ? before.version
    : undefined;
}

function reportAccepted(
  { output, pasteable }: Context,
  accepted: PublishJson,
  outputFile: string | undefined,
): number {
  writeOutputFile(outputFile, accepted);
  output.emit(accepted, () => output.line(accepted.publish_id));
  output.note(`follow it: ${pasteable("wait", accepted.publish_id)}`);
  return EXIT.ok;
}

function detached({ output, pasteable }: Context, known: PublishJson | undefined): number {
  if (known === undefined) {
    output.say("interrupted before the farm had accepted it: nothing is published");
    return EXIT.interrupted;
  }
  if (output.json) output.document(known);
  output.say(
    `detached: publish ${known.publish_id} goes on. Follow it: ${pasteable("wait", known.publish_id)}`,
  );
  return EXIT.interrupted;
}
