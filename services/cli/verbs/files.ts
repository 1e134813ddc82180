import { EXIT } from "../../../proto/errors.ts";
import type { FileJson } from "../../../proto/http.ts";
import { formatBytes } from "../output/format.ts";
import { printPage } from "../output/print-page.ts";
import { findRelease } from "../references.ts";
import type { VerbHandler } from "../verb-context.ts";

const PAGE_ITEMS = 10_000;

/** Lists the files of a release, by path. */
export const files: VerbHandler<"files"> = async ({ args, flags, output, api }) => {
  const client = api();
  const { path, ref } = await findRelease(client, args[0] ?? "");
  const limit = flags.count("limit") ?? Number.MAX_SAFE_INTEGER;
  const page = await client.list<FileJson>(
    `${path}/releases/${encodeURIComponent(ref)}/files`,
    { cursor: flags.text("cursor") },
    limit,
    PAGE_ITEMS,
  );
  printPage(output, page, {
    header: ["PATH", "SIZE", "KIND", "DIGEST"],
    empty: "no files",
    row: (file) => [
      file.type === "symlink" ? `${file.path} -> ${file.target}` : file.path,
      file.size === undefined ? undefined : formatBytes(file.size),
      file.type === "file" ? (file.executable === true ? "exec" : undefined) : file.type,
      file.digest?.slice(0, 19),
    ],
  });
  return EXIT.ok;
};
