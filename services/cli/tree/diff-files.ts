import type { FileJson } from "../../../proto/http.ts";
import type { TreeEntry } from "../../../proto/tree.ts";

/** Where two listings differ, by path. */
export interface FileDifferences {
  readonly changed: readonly string[];
  readonly onlyHere: readonly string[];
  readonly onlyThere: readonly string[];
}

/** Compares a tree with the files of a release. */
export function diffFiles(here: readonly TreeEntry[], there: readonly FileJson[]): FileDifferences {
  const theirs = new Map(there.map((file) => [file.path, fingerprint(file)]));
  const changed: string[] = [];
  const onlyHere: string[] = [];
  for (const entry of here) {
    const other = theirs.get(entry.path);
    if (other === undefined) onlyHere.push(entry.path);
    else if (other !== fingerprint(entry)) changed.push(entry.path);
    theirs.delete(entry.path);
  }
  return { changed, onlyHere, onlyThere: [...theirs.keys()] };
}

function fingerprint(entry: TreeEntry | FileJson): string {
  if (entry.type === "symlink") return `link ${entry.target}`;
  if (entry.type === "directory") return "directory";
  return `${entry.executable === true ? "executable" : "file"} ${entry.digest}`;
}
