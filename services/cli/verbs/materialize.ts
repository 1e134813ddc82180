import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import path from "node:path";
import { digestOf, parseDigest } from "../../../proto/digest.ts";
import { EXIT, GranaryError } from "../../../proto/errors.ts";
import type { FileJson, MaterializedJson, PreviewJson, ReleaseJson } from "../../../proto/http.ts";
import { ARCHIVE_LIMITS } from "../../../proto/limits.ts";
import { parseListing } from "../../../proto/listing.ts";
import { encodeTree, type TreeEntry } from "../../../proto/tree.ts";
import { checkTreeFolder } from "../../../store/check-tree-folder.ts";
import { type ApiClient, WHOLE_STORE_MS } from "../http/api-client.ts";
import { formatBytes, plural } from "../output/format.ts";
import { tellIfSlow } from "../output/tell-if-slow.ts";
import { fetchArtifact, projectPath, refOfArtifact } from "../references.ts";
import { downloadTree } from "../tree/download-tree.ts";
import type { VerbContext, VerbHandler } from "../verb-context.ts";

const FILES_PAGE = 10_000;

/** A release as a folder: DIR here, every file verified; without DIR the project's root on the farm's own disk. */
export const materialize: VerbHandler<"materialize"> = async (context) => {
  const client = context.api();
  const release = await fetchArtifact(client, context.args[0] ?? "");
  const [, directory] = context.args;
  return directory === undefined
    ? onFarm(context, client, release)
    : here(context, client, release, path.resolve(context.cwd, directory));
};

async function onFarm(
  { output }: VerbContext,
  client: ApiClient,
  release: ReleaseJson | PreviewJson,
): Promise<number> {
  const ref = encodeURIComponent(refOfArtifact(release));
  const url = `${projectPath(release.org, release.project)}/releases/${ref}:materialize`;
  const making = client.command<MaterializedJson>("POST", url, undefined, { idleMs: WHOLE_STORE_MS });
  const made = await tellIfSlow(output, "the farm writes the files...", making);
  output.emit(made, () => {
    output.line(made.path);
    output.note(
      made.existing
        ? "was there already"
        : `${plural(made.linked, "file")} shared with other releases of the project, ${made.written} written (${formatBytes(made.written_bytes)}), ${made.took_ms} ms`,
    );
  });
  return EXIT.ok;
}

async function here(
  { output }: VerbContext,
  client: ApiClient,
  release: ReleaseJson | PreviewJson,
  directory: string,
): Promise<number> {
  const entries = await entriesOf(client, release);
  const existing = await onDisk(directory, async () => {
    const filled = existsSync(directory) && readdirSync(directory).length > 0;
    if (filled) refuseOther(directory, entries);
    else await download(client, release, { directory, entries });
    return filled;
  });
  const name = `${release.org}/${release.project}@${refOfArtifact(release)}`;
  output.emit(
    {
      org: release.org,
      project: release.project,
      ...("version" in release ? { version: release.version } : {}),
      tree: release.tree,
      path: directory,
      existing,
      files: release.file_count,
      bytes: release.size_bytes,
    },
    () => {
      output.line(directory);
      output.note(
        `${name}: ${plural(release.file_count, "file")}, ${formatBytes(release.size_bytes)}, every digest ${existing ? "as it should be: nothing to do" : "checked"}`,
      );
    },
  );
  return EXIT.ok;
}

/** What the disk says of a folder that was named here is about the command line, not about the farm. */
async function onDisk<T>(directory: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    const { code, syscall } = cause as NodeJS.ErrnoException;
    if (cause instanceof GranaryError || code === undefined || syscall === undefined) throw cause;
    const message = `${directory} cannot be made: ${syscall} ${code}`;
    throw new GranaryError("USAGE", message, { path: directory, errno: code }, { cause });
  }
}

/** The release's listing, which its tree digest vouches for. */
async function entriesOf(client: ApiClient, release: ReleaseJson | PreviewJson): Promise<TreeEntry[]> {
  const ref = encodeURIComponent(refOfArtifact(release));
  const files = await client.list<FileJson>(
    `${projectPath(release.org, release.project)}/releases/${ref}/files`,
    {},
    ARCHIVE_LIMITS.entries,
    FILES_PAGE,
  );
  const entries = files.items.map(toEntry);
  const listing = encodeTree(entries);
  if (digestOf(listing) !== release.tree)
    throw new GranaryError(
      "VERIFY_MISMATCH",
      `the files that the farm lists are not those of ${release.tree}`,
    );
  refuseUnpublishable(listing);
  return entries;
}

/** A farm that lies can make any tree match its digest: paths and links stay inside only because they are checked here too. */
function refuseUnpublishable(listing: Buffer): void {
  try {
    parseListing(listing, { limits: ARCHIVE_LIMITS, portableNames: false });
  } catch (cause) {
    if (!(cause instanceof GranaryError)) throw cause;
    const message = `the farm lists what no release can have: ${cause.message}`;
    throw new GranaryError("VERIFY_MISMATCH", message, cause.detail, { cause });
  }
}

function toEntry(file: FileJson): TreeEntry {
  const { path: name, type } = file;
  if (type === "symlink") return { type, path: name, target: file.target ?? "" };
  if (type === "directory" || file.digest === undefined) return { type: "directory", path: name };
  return {
    type: "file",
    path: name,
    executable: file.executable === true,
    digest: parseDigest(file.digest),
    size: file.size ?? 0,
  };
}

function refuseOther(directory: string, entries: readonly TreeEntry[]): void {
  const bad = checkTreeFolder(directory, entries);
  if (bad === undefined) return;
  throw new GranaryError("STATE_CONFLICT", `${directory} has other content (${JSON.stringify(bad)})`, {
    path: bad,
    hint: "Name a folder that is empty or does not exist.",
  });
}

/** Beside the folder first, then renamed: there is all of it or nothing. */
async function download(
  client: ApiClient,
  release: ReleaseJson | PreviewJson,
  to: { directory: string; entries: readonly TreeEntry[] },
): Promise<void> {
  const { directory, entries } = to;
  const parent = path.dirname(directory);
  if (!existsSync(parent)) throw new GranaryError("USAGE", `there is no folder ${parent}`);
  const folder = path.join(parent, `.${path.basename(directory)}-${randomUUID().slice(0, 8)}`);
  try {
    await downloadTree(client, release, { folder, entries, onBytes: () => undefined });
    if (existsSync(directory)) rmdirSync(directory);
    renameSync(folder, directory);
  } catch (error) {
    if (existsSync(folder)) rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}
