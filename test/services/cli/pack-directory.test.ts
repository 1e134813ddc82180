import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { digestOf } from "../../../proto/digest.ts";
import { GranaryError } from "../../../proto/errors.ts";
import { ARCHIVE_LIMITS } from "../../../proto/limits.ts";
import { treeDigest } from "../../../proto/tree.ts";
import { packDirectory } from "../../../services/cli/pack/pack-directory.ts";
import { hashEntries } from "../../../services/cli/tree/hash-entries.ts";
import { type WalkedDirectory, walkDirectory } from "../../../services/cli/tree/walk-directory.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";

const NAMES = ["b/run.sh", "a.txt", "b/long/".concat("n".repeat(120), "/x"), "é/ü.txt", "c"];

test("the same content gives the same bytes, whatever the order on disk, times and umask", async () => {
  const first = sample(NAMES, 0o022);
  const second = sample(NAMES.toReversed(), 0o077);
  utimesSync(path.join(second, "a.txt"), 1, 1);
  chmodSync(path.join(second, "c"), 0o666);
  const [one, again, other] = [await packed(first), await packed(first), await packed(second)];
  assert.equal(digestOf(one), digestOf(again));
  assert.equal(digestOf(one), digestOf(other));
});

test("GNU tar lists what was packed, with plain owners, modes and times", async () => {
  const root = sample(NAMES, 0o022);
  const listing = execFileSync(
    "tar",
    ["-tvz", "--numeric-owner", "--full-time", "--utc", "--quoting-style=literal"],
    {
      input: await packed(root),
      encoding: "utf8",
      env: { PATH: process.env["PATH"], LC_ALL: "C.UTF-8" },
    },
  );
  const lines = listing.trim().split("\n");
  assert.equal(lines.length, NAMES.length + 2);
  for (const line of lines) assert.match(line, / 0\/0 .* 1970-01-01 00:00:00 /);
  assert.match(listing, /^-rwxr-xr-x .* b\/run\.sh$/m);
  assert.match(listing, /^-rw-r--r-- .* a\.txt$/m);
  assert.match(listing, /^lrwxrwxrwx .* link -> a\.txt$/m);
  assert.match(listing, /^drwxr-xr-x .* empty\/$/m);
});

test("the tree that was hashed on the way is the tree of the directory", async () => {
  const walked = walk(sample(NAMES, 0o022));
  const { stream, entries } = packDirectory(walked, () => undefined);
  stream.resume();
  assert.equal(
    treeDigest(await entries),
    treeDigest(await hashEntries(walked, new AbortController().signal)),
  );
});

test("nobody reads, nothing is packed ahead: the archive is never whole in memory", async () => {
  const root = tempFolder();
  for (let at = 0; at < 64; at++) writeFileSync(path.join(root, `f${at}`), randomLooking(1024 * 1024, at));
  let taken = 0;
  const { stream, entries } = packDirectory(walk(root), (bytes) => {
    taken += bytes;
  });
  entries.catch(() => undefined);
  stream.on("error", () => undefined);
  await sleep(500);
  assert.ok(taken < 16 * 1024 * 1024, `${taken} bytes were read ahead`);
  stream.destroy();
});

test("a file that changes its size meanwhile fails the pack and names the file", async () => {
  for (const content of ["shorter", "longer than it was before"]) {
    const root = tempFolder();
    writeFileSync(path.join(root, "grows"), "0123456789");
    const walked = walk(root);
    writeFileSync(path.join(root, "grows"), content);
    const { stream, entries } = packDirectory(walked, () => undefined);
    stream.on("error", () => undefined).resume();
    await assert.rejects(
      entries,
      (error) =>
        error instanceof GranaryError && error.code === "STATE_CONFLICT" && error.message.includes("grows"),
    );
  }
});

function sample(names: readonly string[], umask: number): string {
  const before = process.umask(umask);
  const root = tempFolder();
  for (const name of names) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), `content of ${name}\n`);
  }
  chmodSync(path.join(root, "b/run.sh"), 0o700);
  mkdirSync(path.join(root, "empty"));
  symlinkSync("a.txt", path.join(root, "link"));
  process.umask(before);
  return root;
}

function walk(directory: string): WalkedDirectory {
  return walkDirectory({ directory, limits: ARCHIVE_LIMITS, gitignore: false });
}

async function packed(root: string): Promise<Buffer> {
  const { stream, entries } = packDirectory(walk(root), () => undefined);
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  await entries;
  const bytes = Buffer.concat(chunks);
  assert.equal(gunzipSync(bytes).byteLength % 512, 0);
  return bytes;
}

/** Does not compress: what is read must go somewhere. */
function randomLooking(size: number, seed: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = seed + 1;
  for (let at = 0; at < size; at += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes.writeInt32LE(state, at);
  }
  return bytes;
}
