import { quote } from "../../proto/entry-path.ts";
import type { TreeEntry } from "../../proto/tree.ts";

const ROOT_FILE = /^[^/]+\/(?:karta\.toml|Dockerfile)$/;

/**
 * A warning where a tree lies whole below one top directory that holds a karta.toml or Dockerfile: it was packed one level
 * too high. Nothing is stripped unasked (ruling 3).
 */
export function stripHint(entries: readonly TreeEntry[]): string | undefined {
  const first = entries[0]?.path ?? "";
  const top = first.slice(0, first.indexOf("/") + 1);
  if (top === "") return undefined;
  let found: string | undefined;
  for (const { path, type } of entries) {
    if (!path.startsWith(top)) return undefined;
    if (type === "file" && found === undefined && ROOT_FILE.test(path)) found = path;
  }
  if (found === undefined) return undefined;
  return `everything lies below ${quote(top)}, which holds ${quote(found.slice(top.length))}: --strip 1 would make it the root`;
}
