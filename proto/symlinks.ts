import { quote } from "./entry-path.ts";
import { GranaryError } from "./errors.ts";
import type { TreeEntry } from "./tree.ts";

/** Kernel's own bound on links in one resolution (path_resolution(7)). */
const HOPS_MAX = 40;
/** Path steps of all links together: honest trees need a few per link, 200,000 hostile links could ask for 4 * 10^9. */
const STEPS_MAX = 4_000_000;

/**
 * Checks that every symlink resolves, lexically and inside the tree, to something in the tree, following links in the
 * middle of paths as a kernel would.
 *
 * @param parents all directories that the entries imply
 * @throws GranaryError ARCHIVE_LINK_ESCAPES, ARCHIVE_LINK_DANGLING, ARCHIVE_LINK_LOOP
 */
export function resolveSymlinks(entries: readonly TreeEntry[], parents: ReadonlySet<string>): void {
  const links = new Map<string, string>();
  const others = new Set<string>();
  for (const entry of entries) {
    if (entry.type === "symlink") links.set(entry.path, entry.target);
    else others.add(entry.path);
  }
  if (links.size === 0) return;
  const directories = new Set<string>(parents);
  for (const entry of entries) if (entry.type === "directory") directories.add(entry.path);
  const world: World = { links, others, directories, steps: 0 };
  for (const [path, target] of links) resolve(path, target, world);
}

interface World {
  readonly links: ReadonlyMap<string, string>;
  readonly others: ReadonlySet<string>;
  readonly directories: ReadonlySet<string>;
  steps: number;
}

function resolve(path: string, target: string, world: World): void {
  const fail = (
    code: "ARCHIVE_LINK_ESCAPES" | "ARCHIVE_LINK_DANGLING" | "ARCHIVE_LINK_LOOP",
    what: string,
  ): GranaryError =>
    new GranaryError(code, `${quote(path)} -> ${quote(target)} ${what}`, {
      path,
      target: target.slice(0, 200),
    });
  const at = path.split("/").slice(0, -1);
  const todo = target.split("/").reverse();
  let hops = 0;
  for (let segment = todo.pop(); segment !== undefined; segment = todo.pop()) {
    world.steps += 1;
    if (world.steps > STEPS_MAX)
      throw fail("ARCHIVE_LINK_LOOP", `takes the links of the tree past ${STEPS_MAX} steps`);
    if (segment === "" || segment === ".") continue;
    if (segment === "..") {
      if (at.length === 0) throw fail("ARCHIVE_LINK_ESCAPES", "points outside the tree");
      at.pop();
      continue;
    }
    at.push(segment);
    const here = at.join("/");
    const next = world.links.get(here);
    if (next !== undefined) {
      hops += 1;
      if (hops > HOPS_MAX) throw fail("ARCHIVE_LINK_LOOP", `passes more than ${HOPS_MAX} links`);
      at.pop();
      todo.push(...next.split("/").reverse());
    } else if (world.directories.has(here)) {
      // Walk on.
    } else if (!world.others.has(here) || todo.some((rest) => rest !== "" && rest !== ".")) {
      throw fail("ARCHIVE_LINK_DANGLING", "points to nothing in the tree");
    } else if (todo.length > 0) {
      throw fail("ARCHIVE_LINK_DANGLING", "names a file as a directory");
    }
  }
}
