import type { Digest } from "../proto/digest.ts";

interface FileEntry {
  readonly path: string;
  readonly executable: boolean;
  readonly digest: Digest;
}

interface Place {
  readonly dir: string;
  readonly path: string;
}

/** Where files lie that a root may share by hard links: those with the same content and the same executable bit. */
export class LinkSources {
  /** A map for each bit, so that the key is the entry's own string: it is hashed once, and nothing is made for it. */
  readonly #plain = new Map<Digest, Place>();
  readonly #executable = new Map<Digest, Place>();

  /** @param dir what the entry's path is relative to */
  add(entry: FileEntry, dir: string): void {
    this.#of(entry).set(entry.digest, { dir, path: entry.path });
  }

  find(entry: FileEntry): string | undefined {
    const place = this.#of(entry).get(entry.digest);
    return place === undefined ? undefined : `${place.dir}/${place.path}`;
  }

  #of({ executable }: FileEntry): Map<Digest, Place> {
    return executable ? this.#executable : this.#plain;
  }
}
