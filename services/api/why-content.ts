import type { Digest } from "../../proto/digest.ts";
import type { StoreWhyJson, StoreWhyReferenceJson } from "../../proto/http-store.ts";
import { LIMITS } from "../../proto/limits.ts";
import { findFile } from "../../proto/tree-lines.ts";
import type { ContentFate } from "../../store/content-fate.ts";
import type { Store } from "../../store/store.ts";
import { nextTurn } from "../../store/turns.ts";
import { type ContentRoot, contentRoots, logRoots } from "../shared/content-roots.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { findPublish } from "../shared/state-queries.ts";
import { readSession } from "./read-session.ts";

/**
 * What keeps a digest: releases and previews that name it as manifest, config, layer or tree, and files of their trees; publishes that
 * have not ended, and upload sessions that list it; and whether GC has condemned it. Answers
 * {@link LIMITS.whyReferences} at most and looks into {@link LIMITS.whyTrees} trees at most; `truncated` says that there may be more.
 * What is stored without a reference goes with the next garbage collection.
 */
export async function whyContent(context: WhyContext, digest: Digest): Promise<StoreWhyJson> {
  const { store } = context;
  const fate = await store.fateOf(digest);
  const found = unfinished(context, fate);
  const trees = new Map<Digest, ContentRoot[]>();
  for await (const root of contentRoots((body) => context.read(body))) {
    found.push(...rolesOf(store, root, digest).map((as) => referenceOf(root, as)));
    const same = trees.get(root.artifact.tree);
    if (same !== undefined) same.push(root);
    else trees.set(root.artifact.tree, [root]);
  }
  for await (const { digest: log, org, project, publish_id } of logRoots((body) => context.read(body)))
    if (log === digest) found.push({ org, project, ref: publish_id, as: "log" });
  const whole = await searchTrees(store, trees, { digest, found });
  return {
    digest,
    stored: store.stat(digest) ?? null,
    ...(fate.condemnedAtMs !== undefined && {
      condemned: {
        at: new Date(fate.condemnedAtMs).toISOString(),
        undo_until: new Date(fate.condemnedAtMs + context.gc.graceMs).toISOString(),
      },
    }),
    ...(fate.damaged && { damaged: true as const }),
    references: found.slice(0, LIMITS.whyReferences),
    truncated: !whole || found.length > LIMITS.whyReferences,
  };
}

interface WhyContext {
  readonly store: Store;
  /** The undo period of automatic collection. */
  readonly gc: { readonly graceMs: number };
  read<T>(body: (view: StateView) => T): T;
}

/** Work under way that keeps the content, though nothing of the state names it yet. */
function unfinished(context: WhyContext, fate: ContentFate): StoreWhyReferenceJson[] {
  const publishes = fate.heldBy.flatMap((id) => {
    const record = context.read((view) => findPublish(view, id));
    if (record === undefined) return [];
    const { org, project, publish_id: ref } = record;
    return [{ org, project, ref, as: "publish" as const }];
  });
  const sessions = fate.sessions.flatMap((id) => {
    const session = readSession(context.store.uploadPath(id));
    if (session === undefined) return [];
    const { org, project } = session;
    return [{ org, project, ref: id, as: "upload session" as const }];
  });
  return [...publishes, ...sessions];
}

/** Adds the files that have the digest. @returns whether every tree was looked into */
async function searchTrees(
  store: Store,
  trees: ReadonlyMap<Digest, readonly ContentRoot[]>,
  { digest, found }: { digest: Digest; found: StoreWhyReferenceJson[] },
): Promise<boolean> {
  let whole = trees.size <= LIMITS.whyTrees;
  for (const [tree, roots] of [...trees].slice(0, LIMITS.whyTrees)) {
    if (found.length > LIMITS.whyReferences) return false;
    const listing = await store.readListing(tree).catch(() => undefined);
    await nextTurn();
    if (listing === undefined) whole = false;
    const file = listing === undefined ? undefined : findFile(listing, digest);
    if (file === undefined) continue;
    found.push(...roots.map((root) => ({ ...referenceOf(root, "file"), path: file.path })));
  }
  return whole;
}

function rolesOf(
  store: Store,
  { artifact }: ContentRoot,
  digest: Digest,
): readonly StoreWhyReferenceJson["as"][] {
  return [
    ...(artifact.manifest.digest === digest ? ["manifest" as const] : []),
    ...(artifact.config.digest === digest ? ["config" as const] : []),
    ...(artifact.tree === digest ? ["tree" as const] : []),
    ...(artifact.layers.some((layer) => layer.digest === digest) ? ["layer" as const] : []),
    ...(artifact.layers.some((layer) => store.listingOfLayer(layer.digest) === digest)
      ? ["layer listing" as const]
      : []),
  ];
}

function referenceOf(root: ContentRoot, as: StoreWhyReferenceJson["as"]): StoreWhyReferenceJson {
  const { org, project, ref } = root;
  return { org, project, ref, as };
}
