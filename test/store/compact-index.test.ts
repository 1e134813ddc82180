import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { compactIndex } from "../../store/compact-index.ts";
import { openIndexForReading, openIndexForWriting } from "../../store/index-db.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

const ROWS = 30_000;

test("an index with many free pages is rewritten without them, row by row the same; one with few is left alone", async () => {
  const folder = tempFolder();
  const keys = Array.from({ length: ROWS }, () => randomBytes(33));
  const index = openIndexForWriting(folder);
  index.transaction(() => {
    for (const key of keys) index.put(key, key.subarray(0, 20));
  });
  // Each touches every page.
  for (let round = 0; round < 3; round++)
    index.transaction(() => {
      for (const [i, key] of keys.entries()) if (i % 8 === round) index.remove(key);
    });
  const all = { from: Buffer.alloc(33), to: Buffer.alloc(33, 0xff), limit: ROWS };
  const rows = index.rows(all);
  assert.ok(index.freePages() > 1_000, String(index.freePages()));
  await index.close();

  const file = join(folder, "index.mdb");
  const before = statSync(file);
  assert.deepEqual(await compactIndex(folder), []);
  assert.equal(statSync(file).ino, before.ino);

  // What a crash in the middle of a copy leaves.
  writeFileSync(`${file}.compact`, "half of it");
  const [told] = await compactIndex(folder, 1_000);
  assert.match(told?.message ?? "", /rewritten without its free pages/);
  assert.ok(statSync(file).size < before.size / 2, `${before.size} -> ${statSync(file).size}`);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith(".compact")),
    [],
  );
  const again = openIndexForWriting(folder);
  assert.equal(again.freePages(), 0);
  assert.deepEqual(again.rows(all), rows);
  const key = Buffer.alloc(33, 1);
  again.transaction(() => again.put(key, Buffer.from("goes on")));
  assert.equal(Buffer.from(again.get(key) ?? []).toString(), "goes on");
  await again.close();
  const reader = openIndexForReading(folder);
  assert.equal(reader.rows(all).length, rows.length + 1);
  await reader.close();
});
