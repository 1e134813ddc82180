import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { extract, pack } from "tar-stream";
import { digestOf } from "../../../proto/digest.ts";
import { type LayerPiece, layerPieces } from "../../../proto/layers.ts";
import type { TreeEntry } from "../../../proto/tree.ts";
import { appArchive } from "../../helpers/app-archive.ts";
import { listArchive } from "../../helpers/list-archive.ts";

/** tar-stream as a foreign writer and a foreign reader: both sides agree with ours. */
const FILES = {
  "a.txt": "one",
  "dir/b.txt": "two",
  [`long/${"x".repeat(120)}`]: "three",
  "ü/ñ": "four",
  empty: "",
};

function digests(entries: readonly TreeEntry[]): Record<string, string> {
  return Object.fromEntries(
    entries.flatMap((entry) => (entry.type === "file" ? [[entry.path, entry.digest]] : [])),
  );
}

const EXPECTED = Object.fromEntries(
  Object.entries(FILES).map(([path, content]) => [path, digestOf(content)]),
);

async function readWithTarStream(bytes: Uint8Array): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const reader = Readable.from([bytes]).pipe(extract());
  for await (const entry of reader) {
    const content = await buffer(entry);
    if (entry.header.type === "file") found[entry.header.name] = digestOf(content);
  }
  return found;
}

test("an archive that tar-stream wrote lists as what went in", async () => {
  const writer = pack();
  for (const [name, content] of Object.entries(FILES)) writer.entry({ name, mtime: new Date(0) }, content);
  writer.finalize();
  const archive = gzipSync(await buffer(writer));
  assert.deepEqual(digests(listArchive(archive).tree.entries), EXPECTED);
});

test("what we accept lists the same in tar-stream", async () => {
  const { "a.txt": a, "dir/b.txt": b } = FILES;
  const archive = appArchive({ "a.txt": a, "dir/b.txt": b });
  assert.deepEqual(await readWithTarStream(gunzipSync(archive)), digests(listArchive(archive).tree.entries));
});

test("a layer that we compute lists the same in tar-stream", async () => {
  const entries = Object.entries(FILES)
    .map(
      ([path, content]): TreeEntry => ({
        type: "file",
        path,
        executable: false,
        digest: digestOf(content),
        size: Buffer.byteLength(content),
      }),
    )
    .sort((x, y) => Buffer.compare(Buffer.from(x.path), Buffer.from(y.path)));
  const contents = new Map(
    Object.values(FILES).map((content) => [String(digestOf(content)), Buffer.from(content)]),
  );
  const bytesOf = (piece: LayerPiece): Uint8Array =>
    piece.kind === "bytes" ? piece.bytes : (contents.get(piece.digest) ?? Buffer.alloc(0));
  const layer = Buffer.concat([...layerPieces(entries)].map(bytesOf));
  const listed = await readWithTarStream(layer);
  assert.deepEqual(
    listed,
    Object.fromEntries(Object.entries(EXPECTED).map(([path, digest]) => [`app/${path}`, digest])),
  );
});
