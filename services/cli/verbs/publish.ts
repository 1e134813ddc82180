import { randomUUID } from "node:crypto";
import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { CurrentJson, PublishJson } from "../../../proto/http.ts";
import type { Name } from "../../../proto/names.ts";
import { TERMINAL_STATES } from "../../../proto/records.ts";
import type { FlagName } from "../../../proto/verbs.ts";
import type { ApiClient } from "../http/api-client.ts";
import { withRetries } from "../http/with-retries.ts";
import { formatBytes, formatDuration, plural, printable, shortCommit } from "../output/format.ts";
import type { Output } from "../output/output.ts";
import { createProgress } from "../output/progress.ts";
import { type ArchiveSource, openSource } from "../publish/archive-source.ts";
import { describeLeftOut } from "../publish/describe-left-out.ts";
import { type DetectedCommit, detectCommit } from "../publish/detect-commit.ts";
import { fetchLimits } from "../publish/fetch-limits.ts";
import { reportRelease, writeOutputFile } from "../publish/report-release.ts";
import { resolveProject } from "../publish/resolve-project.ts";
import { type UploadAnswer, uploadArchive } from "../publish/upload-archive.ts";
import { waitForPublish } from "../publish/wait-for-publish.ts";
import { projectPath, tokenOrg } from "../references.ts";
import type { VerbContext, VerbHandler } from "../verb-context.ts";

type Context = VerbContext<FlagName<"publish">>;

/** What one invocation publishes, and where to. */
interface Job {
  readonly source: ArchiveSource;
  readonly org: Name;
  readonly project: Name;
  readonly commit: DetectedCommit;
  readonly timeoutMs: number;
  /** Current release before the publish, for "was vN". */
  readonly before: CurrentJson | undefined;
}

/** Uploads of one invocation at most: the same key makes them one publish. */
const UPLOAD_ATTEMPTS = 16;

/** Publishes a directory, an archive or stdin, and waits for the end. */
export const publish: VerbHandler<"publish"> = async (context) => {
  const { api, output, flags, env, interrupted } = { ...context, api: context.api() };
  let known: PublishJson | undefined;
  try {
    const job = await prepare(context, api);
    const sent = await send(context, api, job);
    known = sent.publish;
    output.note(
      `publish ${known.publish_id} ${known.existing === true ? "has ended before" : "was accepted"}`,
    );
    if (flags.has("no-wait") && !TERMINAL_STATES.has(known.state))
      return reportAccepted(output, known, env["GRANARY_OUTPUT_FILE"]);
    const ended = await follow(api, { publish: known, timeoutMs: job.timeoutMs, output });
    await sent.verify(ended);
    return reportRelease({
      output,
      publish: ended,
      requireActive: flags.has("require-active"),
      outputFile: env["GRANARY_OUTPUT_FILE"],
      was: wasLive(job.before, ended),
    });
  } catch (error) {
    if (!interrupted.aborted) throw error;
    return detached(output, known);
  }
};

async function prepare(context: Context, api: ApiClient): Promise<Job> {
  const { args, flags, output, env, cwd, stdin } = context;
  const path = args[0] ?? ".";
  const limits = await fetchLimits(api);
  const source = await openSource({
    path,
    cwd,
    stdin,
    limits,
    gitignore: flags.has("gitignore"),
    strip: flags.count("strip"),
  });
  const named = resolveProject({
    flag: context.flags.text("project"),
    configured: context.settings().project,
    kartaName: source.karta?.name,
    file: source.file,
  });
  const commit = await detectCommit({
    flag: flags.text("commit"),
    env,
    directory: source.walked?.root ?? cwd,
  });
  const org = named.org ?? (await tokenOrg(api));
  const job: Job = {
    source,
    org,
    project: named.project,
    commit,
    timeoutMs: flags.durationMs("timeout") ?? 0,
    before: await currentBefore(api, org, named.project),
  };
  announce(output, job, named.source);
  return job;
}

function announce(output: Output, job: Job, projectSource: string): void {
  const { source, commit } = job;
  const size =
    source.contentBytes === undefined
      ? ""
      : `: ${source.walked === undefined ? "" : `${plural(source.walked.fileCount, "file")}, `}${formatBytes(source.contentBytes)}`;
  output.note(
    `publishing ${printable(source.name)} as ${job.org}/${job.project} (named by ${projectSource})${size}`,
  );
  if (commit.commit === undefined)
    output.warn(`no commit is known: ${printable(commit.from)}; pass --commit SHA`);
  else
    output.note(
      `commit ${shortCommit(commit.commit)} from ${commit.from}${commit.dirty ? ", with uncommitted changes (dirty)" : ""}`,
    );
  for (const line of describeLeftOut(source.walked?.leftOut ?? [])) output.note(line);
  for (const warning of source.walked?.warnings ?? []) output.warn(printable(warning));
}

/** What is live now; undefined when nothing is, or when it cannot be told. */
async function currentBefore(api: ApiClient, org: Name, project: Name): Promise<CurrentJson | undefined> {
  try {
    return await api.get<CurrentJson>(`${projectPath(org, project)}/current`);
  } catch (error) {
    // A first publish has no project yet, and a publish token need not be able to read: neither is in the way.
    if (
      error instanceof GranaryError &&
      (error.spec.http === 404 || error.spec.http === 403 || error.code === "NOTHING_ACTIVE")
    )
      return undefined;
    throw error;
  }
}

interface Sent {
  readonly publish: PublishJson;
  /** Compares the tree that was sent with the one that the farm read. @throws GranaryError VERIFY_MISMATCH */
  readonly verify: (ended: PublishJson) => Promise<void>;
}

async function send(context: Context, api: ApiClient, job: Job): Promise<Sent> {
  const { output, flags, interrupted } = context;
  const idempotencyKey = flags.text("idempotency-key") ?? randomUUID();
  const { source } = job;
  return withRetries(
    {
      signal: interrupted,
      patienceMs: job.timeoutMs,
      retryNoFarm: true,
      attempts: source.repeatable ? UPLOAD_ATTEMPTS : 1,
      onRetry: (failure, waitMs) =>
        output.note(`${printable(failure.message)}; sending it again in ${formatDuration(waitMs)}`),
    },
    async () => {
      const progress = createProgress(output, "sending", source.contentBytes);
      const started = performance.now();
      const archive = source.open(progress.add);
      let sentBytes = 0;
      const answer = await uploadArchive(api, {
        ...archive,
        path: `${projectPath(job.org, job.project)}/publishes`,
        query: queryOf(flags, job.commit),
        idempotencyKey,
        onSent: (bytes) => {
          sentBytes += bytes;
          if (source.walked === undefined) progress.add(bytes);
        },
      }).finally(progress.end);
      output.note(`sent ${formatBytes(sentBytes)} in ${formatDuration(performance.now() - started)}`);
      return { publish: answer.body, verify: (ended) => compareTrees(answer, archive.tree, ended) };
    },
  );
}

function queryOf(
  flags: Context["flags"],
  commit: DetectedCommit,
): Record<string, string | number | undefined> {
  return {
    commit: commit.commit,
    source: flags.text("source") ?? commit.sourceUrl,
    dirty: commit.dirty ? "true" : undefined,
    activate: flags.has("no-activate") ? "false" : undefined,
    force_new: flags.has("force-new") ? "true" : undefined,
    strip: flags.count("strip"),
  };
}

async function compareTrees(
  answer: UploadAnswer,
  local: Promise<string> | undefined,
  ended: PublishJson,
): Promise<void> {
  if (!answer.complete || local === undefined || ended.release === undefined) return;
  const sent = await local;
  if (sent === ended.release.tree) return;
  throw new GranaryError(
    "VERIFY_MISMATCH",
    `the farm read tree ${ended.release.tree}, but ${sent} was sent`,
    {
      publish_id: ended.publish_id,
      expected: sent,
      actual: ended.release.tree,
    },
  );
}

async function follow(
  api: ApiClient,
  options: { publish: PublishJson; timeoutMs: number; output: Output },
): Promise<PublishJson> {
  const { publish: first, timeoutMs, output } = options;
  if (TERMINAL_STATES.has(first.state) && (first.state !== "ready" || first.release !== undefined))
    return first;
  let state = "";
  return waitForPublish(api, {
    publishId: first.publish_id,
    timeoutMs,
    onState: (now) => {
      if (now.state !== state && !TERMINAL_STATES.has(now.state)) output.note(`${now.state}...`);
      state = now.state;
    },
    onLost: (failure) => output.note(`${printable(failure.message)}; waiting for the farm to come back`),
  });
}

/** The version that was live before, if no other activation came between. */
function wasLive(before: CurrentJson | undefined, ended: PublishJson): string | undefined {
  return before !== undefined && ended.release?.generation === before.generation + 1
    ? before.version
    : undefined;
}

function reportAccepted(output: Output, accepted: PublishJson, outputFile: string | undefined): number {
  writeOutputFile(outputFile, accepted);
  output.emit(accepted, () => output.line(accepted.publish_id));
  output.note(`follow it: granary wait ${accepted.publish_id}`);
  return EXIT.ok;
}

function detached(output: Output, known: PublishJson | undefined): number {
  if (known === undefined) {
    output.say("interrupted before the farm had accepted it: nothing is published");
    return EXIT.interrupted;
  }
  if (output.json) output.document(known);
  output.say(`detached: publish ${known.publish_id} goes on. Follow it: granary wait ${known.publish_id}`);
  return EXIT.interrupted;
}
