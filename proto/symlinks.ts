import { quote } from "./entry-path.ts";
import { GranaryError } from "./errors.ts";

/** Links that one look-up may pass, the first included: the kernel's own bound, MAXSYMLINKS (path_resolution(7)). */
const HOPS_MAX = 40;
/** Path steps of all links together: honest trees need a few per link, 200,000 hostile targets hold 10 million. */
const STEPS_MAX = 4_000_000;

/**
 * Checks that every symlink resolves, lexically and inside the tree, to something in the tree, following links in the
 * middle of paths as a kernel would. Each link is resolved once, so a chain of any length costs its own length.
 *
 * @param links path to target; no link lies below another link
 * @param kindOf what stands at a path that is no link: the tree's root is not asked for
 * @throws GranaryError ARCHIVE_LINK_ESCAPES, ARCHIVE_LINK_DANGLING, ARCHIVE_LINK_LOOP
 */
export function resolveSymlinks(
  links: ReadonlyMap<string, string>,
  kindOf: (path: string) => "file" | "directory" | undefined,
): void {
  const world: World = { links, kindOf, ends: new Map(), steps: 0 };
  for (const [path, target] of links) resolve(path, target, world, 1);
}

/** Where a link ends (a path, "" for the root) and how many links its resolution passes, itself included. */
interface End {
  readonly path: string;
  readonly hops: number;
}

interface World {
  readonly links: ReadonlyMap<string, string>;
  readonly kindOf: (path: string) => "file" | "directory" | undefined;
  readonly ends: Map<string, End>;
  steps: number;
}

type Fail = (
  code: "ARCHIVE_LINK_ESCAPES" | "ARCHIVE_LINK_DANGLING" | "ARCHIVE_LINK_LOOP",
  what: string,
) => GranaryError;

function resolve(path: string, target: string, world: World, depth: number): End {
  const known = world.ends.get(path);
  if (known !== undefined) return known;
  const fail: Fail = (code, what) =>
    new GranaryError(code, `${quote(path)} -> ${quote(target)} ${what}`, {
      path,
      target: target.slice(0, 200),
    });
  // A loop comes back here with ever more depth, so the bound on links ends it.
  if (depth > HOPS_MAX) throw fail("ARCHIVE_LINK_LOOP", `passes itself or more than ${HOPS_MAX} links`);
  let at = parentOf(path);
  let kind: "file" | "directory" = "directory";
  let hops = 1;
  for (const segment of target.split("/")) {
    world.steps += 1;
    if (world.steps > STEPS_MAX)
      throw fail("ARCHIVE_LINK_LOOP", `takes the links of the tree past ${STEPS_MAX} steps`);
    if (kind === "file") throw fail("ARCHIVE_LINK_DANGLING", "names a file as a directory");
    if (segment === "" || segment === ".") continue;
    at = enter(at, segment, fail);
    const next = world.links.get(at);
    if (next !== undefined) {
      const end = resolve(at, next, world, depth + hops);
      hops += end.hops;
      if (hops > HOPS_MAX) throw fail("ARCHIVE_LINK_LOOP", `passes more than ${HOPS_MAX} links`);
      at = end.path;
    }
    kind = kindAt(at, world, fail);
  }
  const end = { path: at, hops };
  world.ends.set(path, end);
  return end;
}

function enter(at: string, segment: string, fail: Fail): string {
  if (segment !== "..") return at === "" ? segment : `${at}/${segment}`;
  if (at === "") throw fail("ARCHIVE_LINK_ESCAPES", "points outside the tree");
  return parentOf(at);
}

function kindAt(at: string, world: World, fail: Fail): "file" | "directory" {
  const kind = at === "" ? "directory" : world.kindOf(at);
  if (kind === undefined) throw fail("ARCHIVE_LINK_DANGLING", "points to nothing in the tree");
  return kind;
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}
