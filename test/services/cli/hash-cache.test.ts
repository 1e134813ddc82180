import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { digestOf } from "../../../proto/digest.ts";
import { ARCHIVE_LIMITS } from "../../../proto/limits.ts";
import { HashCache } from "../../../services/cli/tree/hash-cache.ts";
import { hashEntries } from "../../../services/cli/tree/hash-entries.ts";
import { type WalkedDirectory, walkDirectory } from "../../../services/cli/tree/walk-directory.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";

const { signal } = new AbortController();

function walk(directory: string): WalkedDirectory {
  return walkDirectory({ directory, limits: ARCHIVE_LIMITS, gitignore: false });
}

/** Digests by path; the walk and the cache are those of a process of its own. */
async function hashes(root: string, cacheHome: string): Promise<Record<string, string>> {
  const cache = new HashCache(root, { XDG_CACHE_HOME: cacheHome });
  const entries = await hashEntries(walk(root), { signal, cache });
  return Object.fromEntries(entries.map((entry) => [entry.path, entry.type === "file" ? entry.digest : ""]));
}

function cacheFiles(cacheHome: string): string[] {
  const folder = path.join(cacheHome, "granary", "hashes");
  return readdirSync(folder).map((name) => readFileSync(path.join(folder, name), "utf8"));
}

/** Waits until a file of now is old enough to be trusted. */
async function grow(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 2_100));
}

test("a file that was edited a moment before it was hashed is not remembered", async () => {
  const [root, home] = [tempFolder(), tempFolder()];
  writeFileSync(path.join(root, "a"), "one");
  await hashes(root, home);
  assert.deepEqual(cacheFiles(home), ["granary-hashes/1\n"]);
  // The same size within the same tick: only reading it tells.
  writeFileSync(path.join(root, "a"), "two");
  assert.equal((await hashes(root, home))["a"], digestOf("two"));
});

test("a file that is older is remembered until size, mtime, ctime or inode differ", async () => {
  const [root, home] = [tempFolder(), tempFolder()];
  const file = path.join(root, "a");
  writeFileSync(file, "one");
  await grow();
  assert.equal((await hashes(root, home))["a"], digestOf("one"));
  const [text = ""] = cacheFiles(home);
  assert.match(text, /^granary-hashes\/1\n[0-9]+-[0-9]+-[0-9]+-[0-9]+ [0-9a-f]{64} a\n$/);
  // Only the cache can say this: what it remembers is used.
  const folder = path.join(home, "granary", "hashes");
  const [name = ""] = readdirSync(folder);
  writeFileSync(path.join(folder, name), text.replace(/[0-9a-f]{64}/, "0".repeat(64)));
  assert.equal((await hashes(root, home))["a"], `sha256:${"0".repeat(64)}`);
  // The old size and mtime do not hide an edit: ctime cannot be set.
  const { mtime } = statSync(file);
  writeFileSync(file, "two");
  utimesSync(file, mtime, mtime);
  assert.equal((await hashes(root, home))["a"], digestOf("two"));
});

test("a cache that is damaged or cannot be written costs nothing but time", async () => {
  const [root, home] = [tempFolder(), tempFolder()];
  writeFileSync(path.join(root, "a"), "one");
  const folder = path.join(home, "granary", "hashes");
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(home, "file"), "");
  assert.equal((await hashes(root, path.join(home, "file")))["a"], digestOf("one"));
  assert.equal((await hashes(root, "relative"))["a"], digestOf("one"));
  await hashes(root, home);
  const [name = ""] = readdirSync(folder);
  for (const text of ["", "garbage", "granary-hashes/1\nx y\n\n"]) {
    writeFileSync(path.join(folder, name), text);
    assert.equal((await hashes(root, home))["a"], digestOf("one"));
  }
});

test("a file that changes between the walk and the hash is named", async () => {
  const root = tempFolder();
  writeFileSync(path.join(root, "a"), "one");
  const walked = walk(root);
  writeFileSync(path.join(root, "a"), "more");
  await assert.rejects(hashEntries(walked, { signal }), (error: Error & { code?: string }) => {
    assert.equal(error.code, "STATE_CONFLICT");
    assert.match(error.message, /"a" changed while it was read/);
    return true;
  });
});

test("many files are hashed on several threads, with the same result and the same refusals", async () => {
  const root = tempFolder();
  for (let i = 0; i < 4_100; i++) writeFileSync(path.join(root, `f${i}`), `content ${i}`);
  const walked = walk(root);
  let bytes = 0;
  const entries = await hashEntries(walked, { signal, onHashed: (more) => (bytes += more) });
  assert.equal(bytes, walked.sizeBytes);
  for (const entry of entries)
    assert.ok(entry.type === "file" && entry.digest === digestOf(`content ${entry.path.slice(1)}`));
  writeFileSync(path.join(root, "f77"), "changed");
  await assert.rejects(hashEntries(walked, { signal }), { code: "STATE_CONFLICT" });
});
