import type { IncomingMessage } from "node:http";
import { GranaryError } from "../../proto/errors.ts";
import {
  FSCK_NAMES_MAX,
  type HealedJson,
  type StoreBlobJson,
  type StoreHealJson,
} from "../../proto/http-store.ts";
import { toFailure } from "../shared/read-problem.ts";
import { type ApiClient, WHOLE_STORE_MS } from "./http/api-client.ts";
import { openRequest, parseJson, readBody } from "./http/open-request.ts";
import { sendBody } from "./http/send-body.ts";

const IDLE_MS = 30_000;
/** What a farm says of content that it cannot give. */
const NOT_TO_BE_HAD: ReadonlySet<string> = new Set(["BLOB_UNKNOWN", "STORE_CORRUPT"]);

/**
 * Sends what `farm` has lost from `peer`, one blob at a time, each verified by both farms. A listing that comes tells of more that may be
 * lost, so it is asked again until nothing new is named. Can be broken off and run again at any time.
 * @throws GranaryError what either farm refuses with, NO_FARM, UNAVAILABLE
 */
export async function healFrom(peer: ApiClient, farm: ApiClient): Promise<HealedJson> {
  const tried = new Set<string>();
  const healed: string[] = [];
  const notThere: string[] = [];
  let bytes = 0;
  for (;;) {
    const { lost_digests: lost } = await farm.command<StoreHealJson>("POST", "/v1/store:heal", undefined, {
      idleMs: WHOLE_STORE_MS,
    });
    const fresh = lost.filter((digest) => !tried.has(digest));
    if (fresh.length === 0) break;
    for (const digest of fresh) {
      tried.add(digest);
      const size = await sendFrom(peer, farm, digest);
      if (size === undefined) notThere.push(digest);
      else healed.push(digest);
      bytes += size ?? 0;
    }
  }
  return {
    from: peer.url,
    healed: healed.length,
    healed_bytes: bytes,
    healed_digests: healed.slice(0, FSCK_NAMES_MAX),
    not_there: notThere.length,
    not_there_digests: notThere.slice(0, FSCK_NAMES_MAX),
  };
}

/** The size of what was sent; undefined when the peer does not have it, or has it damaged. */
async function sendFrom(peer: ApiClient, farm: ApiClient, digest: string): Promise<number | undefined> {
  const path = `/v1/store/blobs/${digest}`;
  const stream = await openBlob(peer, path);
  if (stream === undefined) return undefined;
  const length = stream.headers["content-length"];
  const headers = {
    "content-type": "application/octet-stream",
    ...(length === undefined ? {} : { "content-length": length }),
  };
  try {
    const { body } = await sendBody<StoreBlobJson>(farm, { method: "PUT", path, headers, stream });
    return body.size;
  } catch (error) {
    // A peer ends the connection before the last byte of content that it finds damaged.
    if (!(error instanceof GranaryError) && !stream.complete && !farm.signal.aborted) return undefined;
    throw error;
  }
}

async function openBlob(peer: ApiClient, path: string): Promise<IncomingMessage | undefined> {
  const { request, response } = openRequest({
    method: "GET",
    url: peer.target(path),
    farmUrl: peer.url,
    headers: await peer.headers({ accept: "*/*" }),
    signal: peer.signal,
    idleMs: IDLE_MS,
  });
  request.end();
  const answer = await response;
  if (answer.statusCode === 200) return answer;
  const body = parseJson(await readBody(answer, peer.url));
  const retryAfter = answer.headers["retry-after"];
  const failure = toFailure({ status: answer.statusCode ?? 0, body, retryAfter, url: peer.url });
  if (NOT_TO_BE_HAD.has(failure.code)) return undefined;
  throw failure;
}
