import type { Digest } from "../../proto/digest.ts";
import type { Outcome } from "../../proto/errors.ts";
import type { ArchiveLimits } from "../../proto/limits.ts";
import type { PublishRecord } from "../../proto/records.ts";
import { sessionIdOf } from "../../proto/upload-session.ts";
import type { ExtractResult, TaskLog } from "../../proto/worker-tasks.ts";
import type { Store } from "../../store/store.ts";
import type { RunOptions, WorkerPool } from "../../workers/pool.ts";

export interface PublishTask {
  readonly record: PublishRecord;
  readonly limits: ArchiveLimits;
  readonly portableNames: boolean;
  readonly baseTrees: readonly Digest[];
  readonly baseLayers: readonly Digest[];
  readonly log: TaskLog;
}

/** Runs the thread task that a publish needs: an archive is extracted, a listing with its stream assembled. */
export function runPublishTask(
  { store, pool }: { store: Store; pool: WorkerPool },
  task: PublishTask,
  options: RunOptions,
): Promise<Outcome<ExtractResult>> {
  const { record, baseTrees, baseLayers, limits, portableNames, log } = task;
  const common = { baseTrees, baseLayers, log, uploadBytes: record.upload.size, imageBuilds: false };
  const streamPath = store.uploadPath(record.publish_id);
  if (record.upload.form === "listing") {
    const sessionPath = store.uploadPath(sessionIdOf(record.publish_id));
    return pool.run("assemble", { ...common, sessionPath, streamPath }, options);
  }
  const strip = record.strip ?? 0;
  return pool.run("extract", { ...common, archivePath: streamPath, limits, portableNames, strip }, options);
}

/** Removes what was received for a publish. */
export async function removePublishUpload(
  store: Store,
  record: Pick<PublishRecord, "publish_id" | "upload">,
): Promise<void> {
  const ids = [
    record.publish_id,
    ...(record.upload.form === "listing" ? [sessionIdOf(record.publish_id)] : []),
  ];
  await store.removeUploads(ids, { behind: true });
}
