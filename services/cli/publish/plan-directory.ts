import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { digestOf } from "../../../proto/digest.ts";
import { GranaryError } from "../../../proto/errors.ts";
import type { PlanJson } from "../../../proto/http.ts";
import { distinctBlobs, type FileEntry } from "../../../proto/listing.ts";
import { encodeTree, type TreeEntry } from "../../../proto/tree.ts";
import { type ApiClient, readAnswer } from "../http/api-client.ts";
import { openRequest } from "../http/open-request.ts";

/** Digests do not compress; what does is found at the lowest levels already. */
const GZIP_LEVEL = 3;
const IDLE_MS = 120_000;
const compress = promisify(gzip);

export interface DirectoryPlan {
  readonly answer: PlanJson;
  readonly tree: string;
  /** Bytes of the listing as sent. */
  readonly listingBytes: number;
  /** The files whose contents are missing, in the order in which they are sent. */
  readonly missing: readonly FileEntry[];
}

/**
 * Sends a listing and learns what is missing.
 * @param path of the project
 * @throws GranaryError the farm's refusal; VERIFY_MISMATCH when it read another listing than was sent
 */
export async function planDirectory(
  api: ApiClient,
  path: string,
  entries: readonly TreeEntry[],
  options: { dryRun: boolean; ifChanged?: boolean },
): Promise<DirectoryPlan> {
  const listing = encodeTree(entries);
  const body = await compress(listing, { level: GZIP_LEVEL });
  const { request, response } = openRequest({
    method: "POST",
    url: api.target(`${path}/publishes:plan`, {
      ...(options.dryRun ? { dry_run: "true" } : {}),
      ...(options.ifChanged === true ? { if_changed: "true" } : {}),
    }),
    farmUrl: api.url,
    headers: await api.headers({
      "content-type": "application/gzip",
      "content-length": String(body.byteLength),
    }),
    signal: api.signal,
    idleMs: IDLE_MS,
  });
  request.end(body);
  const answer = (await readAnswer<PlanJson>(await response, api.url)).body;
  const tree = digestOf(listing);
  if (answer.tree !== tree)
    throw new GranaryError("VERIFY_MISMATCH", `the farm read tree ${answer.tree}, but ${tree} was sent`);
  const blobs = distinctBlobs(entries);
  const missing = answer.missing.flatMap(([first, count]) => blobs.slice(first, first + count));
  return { answer, tree, listingBytes: body.byteLength, missing };
}
