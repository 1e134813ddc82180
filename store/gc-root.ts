import { type Digest, digestBytes } from "../proto/digest.ts";
import { ROOT_BYTES, ROOT_KIND } from "./gc-mark.ts";

/** tree: a listing, keeps what it lists. layer: keeps its listing and that. blob: keeps itself. */
export interface GcRoot {
  readonly digest: Digest;
  readonly kind: keyof typeof ROOT_KIND;
}

/** As the thread of a run gets them: {@link ROOT_BYTES} each. */
export function encodeRoots(roots: Iterable<GcRoot>): Uint8Array {
  const list = [...roots];
  const bytes = new Uint8Array(list.length * ROOT_BYTES);
  for (const [at, { digest, kind }] of list.entries()) {
    bytes[at * ROOT_BYTES] = ROOT_KIND[kind];
    bytes.set(digestBytes(digest), at * ROOT_BYTES + 1);
  }
  return bytes;
}
