import type { Readable } from "node:stream";
import type { PublishJson } from "../../../proto/http.ts";
import type { ApiClient, Query } from "../http/api-client.ts";
import { type BodyAnswer, sendBody } from "../http/send-body.ts";

export interface ArchiveUpload {
  readonly path: string;
  readonly query: Query;
  readonly idempotencyKey: string;
  /** The archive, with its length and digest where they are known beforehand. */
  readonly stream: Readable;
  readonly sizeBytes?: number;
  /** RFC 9530 Content-Digest. */
  readonly contentDigest?: string;
  readonly onSent: (bytes: number) => void;
}

/** Streams an archive to the farm. @throws as {@link sendBody} */
export function uploadArchive(api: ApiClient, upload: ArchiveUpload): Promise<BodyAnswer<PublishJson>> {
  const { path, query, stream, onSent } = upload;
  return sendBody<PublishJson>(api, {
    method: "POST",
    path,
    query,
    stream,
    onSent,
    expectContinue: true,
    headers: {
      "content-type": "application/gzip",
      "idempotency-key": upload.idempotencyKey,
      ...(upload.sizeBytes === undefined ? {} : { "content-length": String(upload.sizeBytes) }),
      ...(upload.contentDigest === undefined ? {} : { "content-digest": upload.contentDigest }),
    },
  });
}
