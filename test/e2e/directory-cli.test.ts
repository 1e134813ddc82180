import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import type { ReleaseJson } from "../../proto/http.ts";
import { ARCHIVE_LIMITS } from "../../proto/limits.ts";
import { distinctBlobs } from "../../proto/listing.ts";
import { encodeTree } from "../../proto/tree.ts";
import { hashEntries } from "../../services/cli/tree/hash-entries.ts";
import { walkDirectory } from "../../services/cli/tree/walk-directory.ts";
import { type ByteProxy, startByteProxy } from "../helpers/byte-proxy.ts";
import { type CliResult, runCliProcess } from "../helpers/cli.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { publishReady } from "../helpers/farm-requests.ts";
import { commitUpload, plan, putStream } from "../helpers/listing.ts";
import { waitUntil } from "../helpers/wait-until.ts";

const MIB = 1024 * 1024;
const PART_BYTES = 4 * MIB;
const MANY_FILES = Number(process.env["GRANARY_MANY_FILES"] ?? 10_000);
const folder = tempDir("directory-cli");
const data = join(folder, "data");
let farm: TestFarm;
let proxy: ByteProxy;
before(async () => {
  farm = await startTestFarm({ data });
  proxy = await startByteProxy(farm.url);
});
after(async () => {
  await proxy.close();
  await farm.stop();
  removeDir(folder);
});

let projects = 0;

/** A directory of its own with these files. */
function directoryOf(files: Readonly<Record<string, string | Buffer>>): string {
  projects += 1;
  const root = join(folder, `app-${projects}`);
  mkdirSync(root);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return root;
}

function publish(root: string, project: string, args: readonly string[] = []): Promise<CliResult> {
  return runCliProcess(["publish", root, "-p", project, "--commit", "abcdef1", "--json", ...args], {
    env: { GRANARY_URL: proxy.url, GRANARY_TOKEN: farm.token, XDG_CACHE_HOME: join(folder, "cache") },
    timeoutMs: 120_000,
  });
}

function releaseOf(result: CliResult): ReleaseJson {
  assert.equal(result.code, 0, result.stderr);
  return JSON.parse(result.stdout) as ReleaseJson;
}

function requestsSince(log: string): string[] {
  return farm
    .log()
    .slice(log.length)
    .split("\n")
    .filter((line) => line.includes('"msg":"request"'))
    .map((line) => {
      const { method, path, status } = JSON.parse(line) as Record<string, unknown>;
      return `${method} ${path} ${status}`;
    });
}

test("publishing a directory is publishing the archive of its selected files", async () => {
  const root = directoryOf({
    "app.py": "app = 1\n",
    "karta.toml": 'entry_point = "app:app"\n',
    ".granaryignore": "*.log\n",
    "debug.log": "not this",
    "node_modules/x/index.js": "module.exports = 1\n",
    "data/größe.txt": "ü",
  });
  mkdirSync(join(root, "empty"));
  symlinkSync("app.py", join(root, "link.py"));
  writeFileSync(join(root, "run.sh"), "#!/bin/sh\n", { mode: 0o755 });
  const release = releaseOf(await publish(root, "whole"));
  const archive = execFileSync("tar", ["czf", "-", "--exclude=*.log", "-C", root, "."]);
  const archived = await publishReady(farm, "whole-archive", archive);
  assert.equal(release.tree, archived.tree);
  assert.equal(release.image_digest, archived.image_digest);
  assert.equal(release.entry_point, "app:app");
});

test("any directory and its archive are one tree and one image", async () => {
  const name = fc
    .stringMatching(/^[a-zA-Z0-9_äß.-]{1,12}$/)
    .filter((text) => !/^\.+$|^\.git|^\.gran/.test(text));
  const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
  const file = fc.record({ content: fc.uint8Array({ maxLength: 3_000 }), executable: fc.boolean() });
  const tree = fc.dictionary(path, file, { minKeys: 1, maxKeys: 12 });
  let round = 0;
  await fc.assert(
    fc.asyncProperty(tree, async (files) => {
      round += 1;
      const root = join(folder, `property-${round}`);
      mkdirSync(root);
      for (const [at, { content, executable }] of Object.entries(files)) {
        try {
          mkdirSync(dirname(join(root, at)), { recursive: true });
          writeFileSync(join(root, at), content, { mode: executable ? 0o755 : 0o644 });
        } catch {
          // A file where another path needs a folder: the rest is a tree all the same.
        }
      }
      const archived = await publishReady(
        farm,
        `property-archive-${round}`,
        execFileSync("tar", ["czf", "-", "-C", root, "."]),
      );
      const walked = walkDirectory({ directory: root, limits: ARCHIVE_LIMITS, gitignore: false });
      const entries = await hashEntries(walked, { signal: new AbortController().signal });
      const planned = await plan(farm, `property-${round}`, encodeTree(entries));
      const { session = "" } = planned.body;
      const stream = Buffer.concat(
        distinctBlobs(entries).map(({ path: at }) => Buffer.from(files[at]?.content ?? [])),
      );
      if (stream.length > 0) await putStream(farm, `property-${round}`, session, stream);
      const committed = await commitUpload(farm, `property-${round}`, session);
      assert.equal(committed.body.release?.tree, archived.tree, committed.text);
      assert.equal(committed.body.release?.image_digest, archived.image_digest);
    }),
    { numRuns: 6 },
  );
});

test("a change of 1 % sends the changed contents and a compressed listing, and nothing else", async () => {
  const files = Object.fromEntries(
    Array.from({ length: 400 }, (_, i) => [`src/file-${i}.txt`, randomBytes(4_000).toString("hex")]),
  );
  const root = directoryOf(files);
  releaseOf(await publish(root, "one-percent"));
  let changedBytes = 0;
  for (const i of [7, 107, 207, 307]) {
    const content = `changed ${randomBytes(4_000).toString("hex")}`;
    changedBytes += content.length;
    writeFileSync(join(root, `src/file-${i}.txt`), content);
  }
  const before = proxy.sentBytes;
  const release = releaseOf(await publish(root, "one-percent"));
  const wire = proxy.sentBytes - before;
  assert.equal(release.stats.uploaded_bytes, changedBytes);
  assert.equal(release.stats.new_blobs, 4);
  const walked = walkDirectory({ directory: root, limits: ARCHIVE_LIMITS, gitignore: false });
  const entries = await hashEntries(walked, { signal: new AbortController().signal });
  const listing = gzipSync(encodeTree(entries)).byteLength;
  assert.ok(wire <= 1.2 * (changedBytes + listing), `${wire} bytes for ${changedBytes} + ${listing}`);
});

/** Until a file of the inbox has this many bytes. */
async function untilReceived(bytes: number): Promise<void> {
  const inbox = join(data, "store", "inbox");
  await waitUntil("the farm has what was sent", 60_000, () =>
    readdirSync(inbox).some(
      (name) => (statSync(join(inbox, name), { throwIfNoEntry: false })?.size ?? 0) >= bytes,
    ),
  );
}

test("a connection that breaks costs less than one part, not the upload", async (t) => {
  const root = directoryOf({ "large.bin": randomBytes(16 * MIB), "small.txt": "small" });
  const before = proxy.sentBytes;
  proxy.breakAfter(10 * MIB, () => untilReceived(9 * MIB));
  const result = await publish(root, "broken");
  const release = releaseOf(result);
  assert.match(result.stderr, /going on in/);
  assert.equal(release.stats.new_blobs, 2);
  const sentTwice = proxy.sentBytes - before - release.stats.uploaded_bytes;
  t.diagnostic(`${sentTwice} bytes were sent twice, listing and headers included`);
  assert.ok(sentTwice < PART_BYTES, `${sentTwice} bytes were sent twice`);
});

test("kill -9 of the farm in the middle of an upload costs less than one part", async (t) => {
  const root = directoryOf({ "large.bin": randomBytes(16 * MIB) });
  const before = proxy.sentBytes;
  const restarted = new Promise<void>((resolve, reject) => {
    proxy.breakAfter(8 * MIB, async () => {
      await untilReceived(7 * MIB);
      await farm.kill();
      startTestFarm({ data }).then((started) => {
        farm = started;
        proxy.target(started.url);
        resolve();
      }, reject);
    });
  });
  const release = releaseOf(await publish(root, "killed"));
  await restarted;
  assert.equal(release.stats.new_blobs, 1);
  const sentTwice = proxy.sentBytes - before - release.stats.uploaded_bytes;
  t.diagnostic(`${sentTwice} bytes were sent twice, listing and headers included`);
  assert.ok(sentTwice < PART_BYTES, `${sentTwice} bytes were sent twice`);
});

test(`${MANY_FILES} files are published with at most 5 requests`, { timeout: 180_000 }, async (t) => {
  const files = Object.fromEntries(
    Array.from({ length: MANY_FILES }, (_, i) => [`d${i % 250}/f${i}.txt`, `file ${i}\n`]),
  );
  const root = directoryOf(files);
  const log = farm.log();
  const started = performance.now();
  const result = await publish(root, "many");
  const cold = performance.now() - started;
  assert.equal(releaseOf(result).file_count, MANY_FILES);
  const requests = requestsSince(log);
  assert.ok(requests.length <= 5, requests.join("\n"));
  writeFileSync(join(root, "d0/f0.txt"), "another\n");
  const again = performance.now();
  const release = releaseOf(await publish(root, "many"));
  assert.equal(release.stats.uploaded_bytes, 8);
  t.diagnostic(
    `cold ${Math.round(cold)} ms, one file changed ${Math.round(performance.now() - again)} ms; ${requests.join("; ")}`,
  );
});

test("a file that was edited in the same second, with its old size and mtime, is published as it is now", async () => {
  const root = directoryOf({ "a.txt": "one!", "b.txt": "b" });
  const long = new Date(Date.now() - 60_000);
  for (const name of ["a.txt", "b.txt"]) utimesSync(join(root, name), long, long);
  const first = releaseOf(await publish(root, "same-second"));
  writeFileSync(join(root, "a.txt"), "two!");
  utimesSync(join(root, "a.txt"), long, long);
  const second = releaseOf(await publish(root, "same-second"));
  assert.notEqual(second.tree, first.tree);
});

test("content that a pull found damaged is asked for again by the next publish", async () => {
  const unique = randomBytes(3_000).toString("hex");
  const root = directoryOf({ "a.txt": unique, "b.txt": "one" });
  const first = releaseOf(await publish(root, "damaged")).layers[0]?.digest ?? "";
  flipByte(join(data, "store", "packs"), Buffer.from(unique));
  const refused = await farm.fetch(`/v2/default/damaged/blobs/${first}`);
  await assert.rejects(async () => assert.ok((await refused.text()).includes(unique)));
  writeFileSync(join(root, "b.txt"), "two");
  const result = await publish(root, "damaged");
  assert.equal(releaseOf(result).stats.uploaded_bytes, unique.length + 3);
  const pulled = releaseOf(result).layers[0]?.digest ?? "";
  const layer = await farm.fetch(`/v2/default/damaged/blobs/${pulled}`);
  const text = await layer.text();
  assert.ok(text.includes(unique), `${layer.status} ${text.slice(0, 2_000)}`);
});

/** Damages the one place below `packs` where `content` is. */
function flipByte(packs: string, content: Buffer): void {
  for (const name of readdirSync(packs)) {
    const at = readFileSync(join(packs, name)).indexOf(content);
    if (at < 0) continue;
    const fd = openSync(join(packs, name), "r+");
    writeSync(fd, Buffer.from([(content[10] ?? 0) ^ 1]), 0, 1, at + 10);
    closeSync(fd);
    return;
  }
  throw new Error("the content is in no pack");
}

test("--if-changed makes no release when what is live is the same, and one when it is not", async () => {
  const root = directoryOf({ "a.txt": "one" });
  assert.equal(releaseOf(await publish(root, "if-changed", ["--if-changed"])).version, "v1");
  const inbox = (): string[] => readdirSync(join(data, "store", "inbox"));
  const before = new Set(inbox());
  const same = await publish(root, "if-changed", ["--if-changed", "--source", "https://example.test/x"]);
  const left = inbox().filter((name) => !before.has(name));
  assert.deepEqual(left, [], "no session stays open: an org has 1,000");
  assert.equal(releaseOf(same).version, "v1");
  assert.match(same.stderr, /nothing was published/);
  writeFileSync(join(root, "a.txt"), "two");
  assert.equal(releaseOf(await publish(root, "if-changed", ["--if-changed"])).version, "v2");
});

test("plan tells what would be sent, and publishes nothing", async () => {
  const root = directoryOf({ "a.txt": "one", "b.txt": "three" });
  releaseOf(await publish(root, "planned"));
  writeFileSync(join(root, "a.txt"), "seven");
  const result = await runCliProcess(["plan", root, "-p", "planned", "--json"], {
    env: { GRANARY_URL: proxy.url, GRANARY_TOKEN: farm.token },
  });
  assert.equal(result.code, 0, result.stderr);
  const planned = JSON.parse(result.stdout) as Record<string, unknown>;
  assert.equal(planned["missing_bytes"], 5);
  assert.equal(planned["current"], "v1");
  const releases = await farm.json<{ items: unknown[] }>("/v1/orgs/default/projects/planned/releases");
  assert.equal(releases.items.length, 1);
});
