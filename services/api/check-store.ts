import { digestFromHex } from "../../proto/digest.ts";
import { GranaryError } from "../../proto/errors.ts";
import {
  FSCK_NAMES_MAX,
  FSCK_REFERENCES_MAX,
  type FsckJson,
  type FsckRepairedJson,
  type StoreWhyJson,
} from "../../proto/http-store.ts";
import { isName } from "../../proto/names.ts";
import type { FsckOptions, FsckResult } from "../../store/fsck.ts";
import type { Store } from "../../store/store.ts";
import { artifactsNaming } from "../shared/artifacts-naming.ts";
import { gcRoots } from "../shared/content-roots.ts";
import type { Roots } from "../shared/roots.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { whyContent } from "./why-content.ts";

interface Context {
  readonly store: Store;
  readonly roots: Pick<Roots, "materialize">;
  readonly closing: AbortSignal;
  readonly gc: { readonly graceMs: number };
  read<T>(body: (view: StateView) => T): T;
}

/** Checks the store, repairs it if that is asked for, and names what needs the content that is lost. */
export async function checkStore(context: Context, options: FsckOptions): Promise<FsckJson> {
  const result = await context.store.fsck({
    ...options,
    contentRoots: () => gcRoots((body) => context.read(body)),
    artifactsNaming: (digests) => artifactsNaming(digests, context),
  });
  const repaired = await repairedJson(context, result);
  return {
    checked: result.checked,
    checked_bytes: result.checkedBytes,
    corrupt: result.corrupt.length,
    corrupt_digests: cut(result.corrupt),
    missing: result.missing.length,
    missing_digests: cut(result.missing),
    misframed: result.misframed.length,
    misframed_digests: cut(result.misframed),
    broken_rows: result.brokenRows.length,
    broken_row_keys: cut(result.brokenRows),
    broken_segments: result.brokenSegments.length,
    broken_segment_names: cut(result.brokenSegments),
    wrong_accounts: result.wrongAccounts.length,
    wrong_account_names: cut(result.wrongAccounts),
    broken_roots: result.brokenRoots.length,
    broken_root_paths: cut(result.brokenRoots),
    orphaned: result.orphaned.length,
    orphaned_files: cut(result.orphaned),
    ...(repaired !== undefined && { repaired }),
  };
}

async function repairedJson(context: Context, result: FsckResult): Promise<FsckRepairedJson | undefined> {
  const { repaired, brokenRows } = result;
  if (repaired === undefined) return undefined;
  const references: StoreWhyJson[] = [];
  for (const digest of repaired.lost.slice(0, FSCK_REFERENCES_MAX))
    references.push(await whyContent(context, digest));
  const roots = await remakeRoots(context, result.brokenRoots);
  return {
    reindexed: repaired.reindexed.length,
    rewritten_segments: repaired.rewritten.length,
    removed: repaired.removed.length,
    removed_files: cut(repaired.removed),
    lost: repaired.lost.length,
    lost_digests: cut(repaired.lost),
    lost_references: references,
    corrected_accounts: repaired.corrected.length,
    remade_roots: roots.made,
    failed_roots: cut(roots.failed),
    needs_rebuild: brokenRows.length > 0,
  };
}

/** @param paths `org/project/tree/path` */
async function remakeRoots(
  { roots, closing }: Context,
  paths: readonly string[],
): Promise<{ made: number; failed: string[] }> {
  const failed: string[] = [];
  const names = new Set(paths.map((path) => path.split("/", 3).join("/")));
  for (const name of names) {
    const [org, project, tree = ""] = name.split("/");
    if (!isName(org) || !isName(project)) continue;
    try {
      await roots.materialize({ org, project, tree: digestFromHex(tree) }, closing);
    } catch (error) {
      if (!(error instanceof GranaryError)) throw error;
      failed.push(`${name}: ${error.code}`);
    }
  }
  return { made: names.size - failed.length, failed };
}

function cut(names: readonly string[]): readonly string[] {
  return names.slice(0, FSCK_NAMES_MAX);
}
