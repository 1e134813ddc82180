import { createHash, type Hash } from "node:crypto";
import { writeSync } from "node:fs";
import { type Digest, digestFromHex } from "../../../proto/digest.ts";
import { quote } from "../../../proto/entry-path.ts";
import { GranaryError } from "../../../proto/errors.ts";
import type { PreviewJson, ReleaseJson } from "../../../proto/http.ts";
import { ARCHIVE_LIMITS } from "../../../proto/limits.ts";
import type { TreeEntry } from "../../../proto/tree.ts";
import { TreeFolder } from "../../../store/tree-folder.ts";
import type { ArchiveSink } from "../../../workers/archive/archive-sink.ts";
import { TarReader } from "../../../workers/archive/tar-reader.ts";
import { toFailure } from "../../shared/read-problem.ts";
import type { ApiClient } from "../http/api-client.ts";
import { connectionError, openRequest, parseJson, readBody } from "../http/open-request.ts";

const IDLE_MS = 30_000;
/** Layers hold the tree below `app/`. */
const LAYER_PREFIX_SEGMENTS = 1;

/**
 * Writes a release's files into a new folder: the image's layers are streamed through the reader of archives, and every file has to
 * be what `entries` say of it, so nothing is taken on trust but their digest.
 * @throws GranaryError VERIFY_MISMATCH naming a file, what the farm refuses with, UNAVAILABLE when the connection breaks
 */
export async function downloadTree(
  api: ApiClient,
  release: ReleaseJson | PreviewJson,
  to: { folder: string; entries: readonly TreeEntry[]; onBytes: (bytes: number) => void },
): Promise<void> {
  const folder = new TreeFolder(to.folder);
  const sink = new FolderSink(folder, to.entries);
  for (const layer of release.layers) {
    const reader = new TarReader({
      limits: ARCHIVE_LIMITS,
      portableNames: false,
      strip: LAYER_PREFIX_SEGMENTS,
      sink,
    });
    // Without its `finish`: that judges whole trees, and a link may point into another layer. What is cut off is missing below.
    for await (const chunk of openLayer(api, release, layer.digest)) {
      reader.push(chunk);
      to.onBytes(chunk.byteLength);
    }
  }
  sink.finish();
  for (const entry of to.entries) {
    if (entry.type === "symlink") folder.symlink(entry.path, entry.target);
    else if (entry.type === "directory") folder.directory(entry.path);
  }
}

class FolderSink implements ArchiveSink {
  readonly #folder: TreeFolder;
  /** Files that have not come yet. */
  readonly #expected: Map<string, TreeEntry & { type: "file" }>;
  #file: { fd: number; hash: Hash; entry: TreeEntry & { type: "file" } } | undefined;

  constructor(folder: TreeFolder, entries: readonly TreeEntry[]) {
    this.#folder = folder;
    this.#expected = new Map(
      entries.flatMap((entry) => (entry.type === "file" ? [[entry.path, entry] as const] : [])),
    );
  }

  beginFile({ path }: { path: string }): void {
    const entry = this.#expected.get(path);
    if (entry === undefined) throw mismatch(`${quote(path)} is in a layer and not in the release's files`);
    this.#file = { fd: this.#folder.open(path), hash: createHash("sha256"), entry };
  }

  fileData(chunk: Uint8Array): void {
    const file = this.#file;
    if (file === undefined) return;
    file.hash.update(chunk);
    for (let at = 0; at < chunk.byteLength; ) at += writeSync(file.fd, chunk, at);
  }

  endFile(): Digest | undefined {
    const file = this.#file;
    if (file === undefined) return undefined;
    this.#file = undefined;
    this.#folder.close(file.fd, file.entry.executable);
    const digest = digestFromHex(file.hash.digest("hex"));
    if (digest !== file.entry.digest)
      throw mismatch(`${quote(file.entry.path)} came as ${digest}, listed is ${file.entry.digest}`);
    this.#expected.delete(file.entry.path);
    return digest;
  }

  finish(): void {
    const [missing] = this.#expected.keys();
    if (missing !== undefined) throw mismatch(`no layer brought ${quote(missing)}`);
  }
}

async function* openLayer(
  api: ApiClient,
  { org, project }: { org: string; project: string },
  digest: Digest,
): AsyncGenerator<Buffer, void, undefined> {
  const { request, response } = openRequest({
    method: "GET",
    url: api.target(`/v2/${org}/${project}/blobs/${digest}`),
    farmUrl: api.url,
    headers: await api.headers({ accept: "*/*" }),
    signal: api.signal,
    idleMs: IDLE_MS,
  });
  request.end();
  const answer = await response;
  if (answer.statusCode !== 200)
    throw toFailure({
      status: answer.statusCode ?? 0,
      body: parseJson(await readBody(answer, api.url)),
      retryAfter: answer.headers["retry-after"],
      url: api.url,
    });
  try {
    yield* answer;
  } catch (error) {
    throw connectionError(error, api.url);
  }
}

function mismatch(what: string): GranaryError {
  return new GranaryError("VERIFY_MISMATCH", what);
}
