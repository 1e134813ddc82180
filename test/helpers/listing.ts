import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { digestOf } from "../../proto/digest.ts";
import type { PlanJson, PublishJson, UploadJson } from "../../proto/http.ts";
import { distinctBlobs } from "../../proto/listing.ts";
import { comparePaths, encodeTree, type TreeEntry } from "../../proto/tree.ts";
import type { TestFarm } from "./farm.ts";
import { type Answer, projectUrl, type SendOptions, send } from "./farm-requests.ts";

export type Files = Readonly<Record<string, string | Buffer>>;

/** A table of files as its client sends it. */
export interface ListedFiles {
  readonly entries: readonly TreeEntry[];
  readonly listing: Buffer;
  readonly tree: string;
  /** The distinct contents in listing order. */
  readonly blobs: readonly Buffer[];
}

export function listFiles(files: Files): ListedFiles {
  const contents = new Map<string, Buffer>();
  const entries = Object.entries(files)
    .map(([path, text]): TreeEntry => {
      const bytes = Buffer.from(text);
      const digest = digestOf(bytes);
      contents.set(digest, bytes);
      return { type: "file", path, executable: false, digest, size: bytes.byteLength };
    })
    .sort((a, b) => comparePaths(a.path, b.path));
  const listing = encodeTree(entries);
  const blobs = distinctBlobs(entries).map(({ digest }) => contents.get(digest) ?? Buffer.alloc(0));
  return { entries, listing, tree: digestOf(listing), blobs };
}

/** What a plan asks for, in one piece. */
export function missingContent({ blobs }: ListedFiles, plan: Pick<PlanJson, "missing">): Buffer {
  return Buffer.concat(plan.missing.flatMap(([first, count]) => blobs.slice(first, first + count)));
}

type Where = SendOptions & { readonly org?: string };

/** `POST .../publishes:plan` with the canonical bytes of a listing, well formed or not. */
export function plan<T = PlanJson>(
  farm: Pick<TestFarm, "fetch">,
  project: string,
  listing: Uint8Array,
  options: Where & { readonly query?: string } = {},
): Promise<Answer<T>> {
  return send<T>(farm, `${projectUrl(project, options.org)}/publishes:plan${options.query ?? ""}`, {
    ...options,
    method: "POST",
    bytes: gzipSync(listing),
    headers: { "content-type": "application/gzip" },
  });
}

export function putStream<T = UploadJson>(
  farm: Pick<TestFarm, "fetch">,
  project: string,
  session: string,
  content: Uint8Array,
  options: Where & { readonly offset?: number } = {},
): Promise<Answer<T>> {
  return send<T>(
    farm,
    `${projectUrl(project, options.org)}/uploads/${session}?offset=${options.offset ?? 0}`,
    {
      ...options,
      method: "PUT",
      bytes: content,
      headers: { "content-type": "application/octet-stream" },
    },
  );
}

export function commitUpload<T = PublishJson>(
  farm: Pick<TestFarm, "fetch">,
  project: string,
  session: string,
  options: Where & { readonly body?: Readonly<Record<string, unknown>>; readonly waitSeconds?: number } = {},
): Promise<Answer<T>> {
  const { org, body = {}, waitSeconds = 30, headers } = options;
  return send<T>(farm, `${projectUrl(project, org)}/uploads/${session}:commit`, {
    ...options,
    method: "POST",
    json: body,
    headers: { ...(waitSeconds === 0 ? {} : { prefer: `wait=${waitSeconds}` }), ...headers },
  });
}

/** Plans and sends; answers the session that is ready to be committed. */
export async function sendListed(
  farm: Pick<TestFarm, "fetch">,
  project: string,
  files: ListedFiles,
  options: Where = {},
): Promise<PlanJson & { session: string }> {
  const planned = await plan(farm, project, files.listing, options);
  assert.equal(planned.status, 200, planned.text);
  const { session, missing_bytes } = planned.body;
  assert.ok(session !== undefined);
  if (missing_bytes > 0) {
    const sent = await putStream(farm, project, session, missingContent(files, planned.body), options);
    assert.equal(sent.status, 200, sent.text);
  }
  return { ...planned.body, session };
}
