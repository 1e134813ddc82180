import assert from "node:assert/strict";
import { test } from "node:test";
import { digestOf } from "../../proto/digest.ts";
import { GranaryError } from "../../proto/errors.ts";
import { ARCHIVE_LIMITS } from "../../proto/limits.ts";
import { type ListingBase, type ListingRules, parseListing } from "../../proto/listing.ts";
import { readTree, readTreeBeside } from "../../proto/read-tree.ts";
import { comparePaths, encodeTree, type TreeEntry } from "../../proto/tree.ts";
import { random } from "../helpers/random.ts";

const ROUNDS = 1_000;
const RULES: ListingRules = {
  limits: { ...ARCHIVE_LIMITS, fileBytes: 400, expandedBytes: 2_000 },
  portableNames: false,
};

const NAMES = ["a", "a/b", "a/c", "a-", "b/one", "b/two", "é", "z/\u{1f600}", "z/\ue000"];

function randomTree(next: () => number): TreeEntry[] {
  const entries: TreeEntry[] = [];
  for (const path of NAMES) {
    const kind = next();
    const content = Math.floor(next() * 6);
    if (kind < 0.55)
      entries.push({
        type: "file",
        path,
        executable: next() < 0.2,
        digest: digestOf(`c${content}`),
        size: content * 50,
      });
    else if (kind < 0.65) entries.push({ type: "symlink", path, target: next() < 0.5 ? "a" : "b/one" });
    else if (kind < 0.72) entries.push({ type: "directory", path });
  }
  return entries.sort((x, y) => comparePaths(x.path, y.path));
}

/** Mostly one changed content, which is the case that is read fast; sometimes anything. */
function mutate(entries: readonly TreeEntry[], next: () => number): Buffer {
  if (next() < 0.2) return encodeTree(randomTree(next));
  const changed = entries.map((entry) =>
    entry.type === "file" && next() < 0.3
      ? { ...entry, digest: digestOf(`d${Math.floor(next() * 3)}`), size: Math.floor(next() * 500) }
      : entry,
  );
  const bytes = encodeTree(changed);
  if (next() < 0.6 || bytes.byteLength < 40) return bytes;
  const at = 15 + Math.floor(next() * (bytes.byteLength - 15));
  const kind = next();
  if (kind < 0.3) bytes[at] = Math.floor(next() * 256);
  else if (kind < 0.5) return bytes.subarray(0, at);
  else if (kind < 0.8) return Buffer.concat([bytes.subarray(0, at), Buffer.from("0"), bytes.subarray(at)]);
  else return Buffer.from(bytes.toString("latin1").replace(/ ([0-9]+) /, " -$1 "), "latin1");
  return bytes;
}

/** What came out, or which refusal. */
function outcome(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof GranaryError)) throw error;
    return { code: error.code, message: error.message, detail: error.detail };
  }
}

test("a tree that is read beside another one is the tree that is read alone, whatever both are", () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const next = random(seed);
  for (let round = 0; round < ROUNDS; round++) {
    const from = randomTree(next);
    const base = readTree(encodeTree(from));
    const bytes = mutate(from, next);
    const beside = outcome(() => {
      const { entries, lines } = readTreeBeside(bytes, base);
      return { entries, lines };
    });
    const alone = outcome(() => {
      const { entries, lines } = readTree(bytes);
      return { entries, lines };
    });
    assert.deepEqual(beside, alone, `seed ${seed}, round ${round}`);
  }
});

test("lines of the base are its own entries, and one shape means the same paths, types and links", () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const next = random(seed);
  const shape = (entries: readonly TreeEntry[]): unknown =>
    entries.map((entry) => [entry.path, entry.type, entry.type === "symlink" ? entry.target : ""]);
  let same = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const base = readTree(encodeTree(randomTree(next)));
    const tree = readTreeBeside(encodeTree(next() < 0.5 ? randomTree(next) : [...base.entries]), base);
    const about = `seed ${seed}, round ${round}`;
    tree.inBase.forEach((at, i) => {
      if (at >= 0) assert.equal(tree.entries[i], base.entries[at], about);
      else
        assert.ok(
          !base.entries.some((entry) => encodeTree([entry]).equals(encodeTree(tree.entries.slice(i, i + 1)))),
          about,
        );
    });
    const isSame = JSON.stringify(shape(tree.entries)) === JSON.stringify(shape(base.entries));
    assert.equal(tree.sameShape, isSame, about);
    same += Number(isSame);
  }
  assert.ok(same > ROUNDS / 10, "the case is met");
});

test("beside a listing that passed the rules, another one passes them or is refused as it is alone", () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const next = random(seed);
  const met = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++) {
    const from = randomTree(next);
    const base = outcome(() => parseListing(encodeTree(from), RULES)) as ReturnType<typeof parseListing>;
    if (!("tree" in base)) continue;
    const known: ListingBase = { tree: base.tree, check: base };
    const bytes = mutate(from, next);
    const answer = (listing: ReturnType<typeof parseListing>): unknown => ({
      entries: listing.tree.entries,
      distinct: listing.distinct,
      warnings: listing.warnings,
    });
    const beside = outcome(() => answer(parseListing(bytes, RULES, known)));
    assert.deepEqual(
      beside,
      outcome(() => answer(parseListing(bytes, RULES))),
      `seed ${seed}, round ${round}`,
    );
    const code = (beside as { code?: string }).code ?? "passes";
    met.set(code, (met.get(code) ?? 0) + 1);
  }
  for (const code of ["passes", "LISTING_INVALID", "ARCHIVE_FILE_TOO_LARGE"])
    assert.ok((met.get(code) ?? 0) > 5, code);
});

test("what a listing passed under other rules does not count", () => {
  const file = { type: "file", executable: false, digest: digestOf("c"), size: 1 } as const;
  const bytes = encodeTree([{ ...file, path: "con" }]);
  const known = parseListing(bytes, RULES);
  const strict = { ...RULES, portableNames: true };
  assert.throws(() => parseListing(bytes, strict, { tree: known.tree, check: known }), {
    code: "ARCHIVE_PATH_NOT_PORTABLE",
  });
});
