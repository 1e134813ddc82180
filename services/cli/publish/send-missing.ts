import { GranaryError } from "../../../proto/errors.ts";
import type { UploadJson } from "../../../proto/http.ts";
import type { FileEntry } from "../../../proto/listing.ts";
import type { ApiClient } from "../http/api-client.ts";
import { sendBody } from "../http/send-body.ts";
import { isPassing, withRetries } from "../http/with-retries.ts";
import { missingContent } from "./missing-content.ts";

export interface MissingUpload {
  /** Of the upload session. */
  readonly path: string;
  /** Directory of the files. */
  readonly root: string;
  /** Files whose contents are missing, in the order of the plan. */
  readonly files: readonly FileEntry[];
  readonly sizeBytes: number;
  readonly patienceMs: number;
  /** Hears of bytes that went out for the first time. */
  readonly onSent: (bytes: number) => void;
  readonly onRetry: (failure: GranaryError, waitMs: number) => void;
}

/** Breaks in a row between which nothing arrives; `patienceMs` is the bound that matters. */
const ATTEMPTS = 100;

/**
 * Sends missing contents as one stream and goes on where the farm has it when the connection breaks.
 * @throws GranaryError STATE_CONFLICT naming a file that changed, the farm's refusal
 */
export async function sendMissing(api: ApiClient, upload: MissingUpload): Promise<void> {
  const { sizeBytes, patienceMs, onRetry } = upload;
  let told = 0;
  let again = false;
  let arrived = 0;
  let progressed = false;
  await withRetries(
    {
      signal: api.signal,
      patienceMs,
      retryNoFarm: true,
      attempts: ATTEMPTS,
      progressed: () => {
        const was = progressed;
        progressed = false;
        return was;
      },
      onRetry,
    },
    async () => {
      const offset = again ? (await api.get<UploadJson>(upload.path)).offset : 0;
      again = true;
      progressed ||= offset > arrived;
      arrived = Math.max(arrived, offset);
      if (offset < sizeBytes) await sendFrom(offset);
    },
  );

  async function sendFrom(offset: number): Promise<void> {
    let at = offset;
    try {
      await sendBody(api, {
        method: "PUT",
        path: upload.path,
        query: { offset },
        headers: {
          "content-type": "application/octet-stream",
          "content-length": String(sizeBytes - offset),
        },
        stream: missingContent(upload.root, upload.files, offset),
        onSent: (bytes) => {
          at += bytes;
          upload.onSent(Math.max(0, at - told));
          told = Math.max(told, at);
        },
      });
    } catch (error) {
      throw continued(error);
    }
  }
}

/** Another request for the session was faster, or its end was noticed late: the farm says where to go on. */
function continued(error: unknown): unknown {
  if (isPassing(error) || !(error instanceof GranaryError) || error.code !== "UPLOAD_OFFSET") return error;
  return new GranaryError("UNAVAILABLE", error.message, error.detail, { cause: error });
}
