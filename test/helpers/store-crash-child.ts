import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { digestOf } from "../../proto/digest.ts";
import type { Store } from "../../store/store.ts";
import { storeFiles } from "./store-disk.ts";
import { contentOf } from "./store-fixture.ts";

const ENTRY = fileURLToPath(new URL("./store-crash-main.js", import.meta.url));

/** What a child said was durable, in the terms of {@link contentOf}. */
export interface Acknowledged {
  readonly blobs: { readonly seed: string; readonly size: number }[];
  readonly uploads: { readonly id: string; readonly seed: string; readonly size: number }[];
}

/** Lets a child work on the store and kills it `lifeMs` after it began to, right after `beforeKill`. */
export async function runAndKill(
  dir: string,
  options: { run: number; lifeMs: number; beforeKill?: () => void },
): Promise<Acknowledged> {
  const child = spawn(process.execPath, [ENTRY, dir, String(options.run)], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const acknowledged: Acknowledged = { blobs: [], uploads: [] };
  const lines = createInterface({ input: child.stdout });
  const ended = once(child, "exit");
  const opened = new Promise<void>((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the child ended by itself with ${code}`)));
    lines.on("line", (line) => {
      const [kind, ...rest] = line.split(" ");
      if (kind === "open") resolve();
      if (kind === "blob") acknowledged.blobs.push({ seed: rest[0] ?? "", size: Number(rest[1]) });
      if (kind === "upload")
        acknowledged.uploads.push({ id: rest[0] ?? "", seed: rest[1] ?? "", size: Number(rest[2]) });
    });
  });
  const closed = once(lines, "close");
  try {
    await opened;
    await sleep(options.lifeMs);
    options.beforeKill?.();
  } finally {
    child.kill("SIGKILL");
  }
  await Promise.all([closed, ended]);
  return acknowledged;
}

/** Everything that was acknowledged is there and verifies. */
export async function assertKept(store: Store, { blobs, uploads }: Acknowledged): Promise<void> {
  for (const { seed, size } of blobs) {
    const content = contentOf(seed, size);
    assert.ok((await store.read(digestOf(content))).equals(content), seed);
  }
  for (const { id, seed, size } of uploads)
    assert.deepEqual(fs.readFileSync(store.uploadPath(id)), contentOf(seed, size), id);
}

/** Nothing is on disk that the index does not know. */
export function assertNothingElse(dir: string, store: Store): void {
  const stats = store.stats();
  const files = [...storeFiles(dir)];
  const packBytes = files
    .filter(([name]) => name.startsWith("packs/"))
    .reduce((sum, [, size]) => sum + size, 0);
  assert.equal(packBytes, stats.packBytes, "tails are cut");
  assert.equal(
    files.filter(([name]) => name.startsWith("big/")).length,
    stats.bigFiles,
    "no big file without a row",
  );
  assert.equal(files.filter(([name]) => name.startsWith("staging/")).length, 0);
  assert.equal(files.filter(([name]) => name.endsWith(".part")).length, 0);
  for (const { id } of store.listUploads())
    assert.ok(
      store.leases().some((lease) => lease.id === id),
      id,
    );
}
