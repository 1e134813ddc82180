import { isName, parseVersion } from "../../proto/names.ts";
import { inTurns } from "../../store/turns.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import {
  findCurrentRelease,
  findProject,
  findRelease,
  listPreviews,
  type PageOptions,
  type ProjectAt,
} from "../shared/state-queries.ts";

export const PREVIEW_TAG = "preview-";

interface StateReader {
  read<T>(body: (view: StateView) => T): T;
}

/**
 * The first `count` tags behind `last` in lexical order (distribution-spec, "Listing Tags"): `current`, those of living previews, those
 * of kept releases. A page costs what it shows: versions are counted up in the order of their texts, and only those are looked up.
 */
export async function tagsBehind(
  state: StateReader,
  at: ProjectAt,
  options: { last: string | undefined; count: number },
): Promise<string[]> {
  const { last = "", count } = options;
  const tags: string[] = [];
  await inTurns(candidates(state, at, last), (tag) => {
    if (tag !== undefined && tag > last && tags.length < count) tags.push(tag);
    return tags.length < count;
  });
  return tags;
}

/** Tags in lexical order, from `last` on or from before it; undefined for what turns out to be none. */
function* candidates(state: StateReader, at: ProjectAt, last: string): Generator<string | undefined> {
  if (state.read((view) => findCurrentRelease(view, at)) !== undefined) yield "current";
  if (last < "v") yield* previewTags(state, at, last);
  const newest = state.read((view) => findProject(view, at))?.last_version ?? 0;
  for (const version of inTextOrder(newest, parseVersion(last) ?? 1)) {
    const release = state.read((view) => findRelease(view, at, version));
    yield release === undefined || release.state === "retired" ? undefined : release.version;
  }
}

function* previewTags(state: StateReader, at: ProjectAt, last: string): Generator<string | undefined> {
  const name = last.startsWith(PREVIEW_TAG) ? last.slice(PREVIEW_TAG.length) : undefined;
  let options: PageOptions | undefined = isName(name) ? { after: name } : {};
  while (options !== undefined) {
    const from: PageOptions = options;
    const page = state.read((view) => listPreviews(view, at, from));
    for (const preview of page.items) yield `${PREVIEW_TAG}${preview.name}`;
    yield undefined;
    options = page.next_cursor === null ? undefined : { cursor: page.next_cursor };
  }
}

/** 1, 10, 11, 2, 3 ... for 11: what stands below `from` in that order is left out. */
function* inTextOrder(max: number, from: number): Generator<number, void, undefined> {
  let version = from <= max ? from : Math.min(1, max);
  while (version > 0) {
    yield version;
    if (version * 10 <= max) version *= 10;
    else {
      while (version % 10 === 9 || version === max) version = Math.floor(version / 10);
      if (version > 0) version += 1;
    }
  }
}
