import { type Digest, digestBytes } from "../proto/digest.ts";
import { ByteList } from "./byte-list.ts";
import { DigestTable } from "./digest-table.ts";
import { ROOT_BYTES, ROOT_KIND } from "./gc-mark.ts";

/** tree: a listing, keeps what it lists. layer: keeps its listing and that. blob: keeps itself. */
export interface GcRoot {
  readonly digest: Digest;
  readonly kind: keyof typeof ROOT_KIND;
}

/** One at a time where there may be many: as objects in a list, each would cost 400 bytes of memory instead of 130. */
export type GcRoots = Iterable<GcRoot> | AsyncIterable<GcRoot>;

/** As the thread of a run gets them: {@link ROOT_BYTES} each, none twice. */
export async function encodeRoots(roots: GcRoots): Promise<Uint8Array> {
  const bytes = new ByteList(1024 * ROOT_BYTES);
  const known = { tree: new DigestTable(), layer: new DigestTable(), blob: new DigestTable() };
  for await (const { digest, kind } of roots) {
    const raw = digestBytes(digest);
    if (known[kind].find(raw, 0) !== undefined) continue;
    known[kind].add(raw, 0, 1);
    const { bytes: into, at } = bytes.extend(ROOT_BYTES);
    into[at] = ROOT_KIND[kind];
    into.set(raw, at + 1);
  }
  return bytes.take();
}
