import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, statSync, truncateSync, writeSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { DATA_FILE, openStateReader, openStateWriter } from "../../../services/shared/state-db.ts";
import { stateDigest } from "../../../services/shared/state-db-digest.ts";
import { probeState } from "../../../services/shared/state-db-probe.ts";
import type { RangeOptions, StateKey } from "../../../services/shared/state-db-tx.ts";
import { MemoryState } from "../../helpers/memory-state.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";

const key = (text: string) => text as StateKey<unknown>;

test("the state on disk and the state in memory are the same ordered map", async () => {
  const name = fc.stringMatching(/^[a-c/0]{1,3}$/);
  const change = fc.record({ key: name, value: fc.option(fc.jsonValue()) });
  const walk = fc.record(
    { start: name, end: name, after: name, reverse: fc.boolean(), limit: fc.nat(5) },
    { requiredKeys: ["start", "end"] },
  );
  const writer = openStateWriter(tempFolder());
  let stale: string[] = [];
  fc.assert(
    fc.property(
      fc.array(fc.array(change, { maxLength: 8 }), { maxLength: 4 }),
      fc.array(walk),
      (groups, walks) => {
        const memory = new MemoryState();
        writer.transact((tx) => {
          for (const old of stale) tx.remove(key(old));
        });
        for (const group of groups) {
          writer.transact((tx) => {
            for (const { key: at, value } of group) {
              for (const state of [tx, memory]) {
                if (value === null) state.remove(key(at));
                else state.put(key(at), value);
              }
              // Inside the transaction, what was just written is read.
              assert.deepEqual(tx.get(key(at)), memory.get(key(at)));
              assert.deepEqual(
                [...tx.range({ start: key("a"), end: "b" })],
                [...memory.range({ start: key("a"), end: "b" })],
              );
            }
          });
        }
        writer.read((view) => {
          for (const { start, end, ...options } of walks) {
            const range = { start: key(start), end };
            const seen = [...view.range(range, options as RangeOptions)];
            assert.deepEqual(
              seen,
              [...memory.range(range, options as RangeOptions)],
              JSON.stringify({ start, end, options }),
            );
          }
        });
        stale = [...memory.rows()].map(([at]) => at);
        assert.equal(stateDigest(writer.rows()), stateDigest(memory.rows()));
      },
    ),
    { numRuns: 300, verbose: true },
  );
  await writer.close();
});

test("a transaction that throws leaves nothing behind", async () => {
  const writer = openStateWriter(tempFolder());
  writer.transact((tx) => tx.put(key("a"), 1));
  const failing = () =>
    writer.transact((tx, local) => {
      tx.put(key("a"), 2);
      tx.put(key("b"), 2);
      local.put("cursor", "9-9");
      throw new Error("no");
    });
  assert.throws(failing, /no/);
  assert.deepEqual([...writer.rows()], [["a", "1"]]);
  assert.equal(writer.readLocal("cursor"), undefined);
  await writer.close();
});

test("a reader sees each commit at once", async () => {
  const dir = tempFolder();
  const writer = openStateWriter(dir);
  const reader = openStateReader(dir);
  for (let i = 0; i < 200; i++) {
    writer.transact((tx) => tx.put(key("n"), i));
    assert.equal(
      reader.read((view) => view.get(key("n"))),
      i,
    );
  }
  await reader.close();
  await writer.close();
});

test("there is nothing to read where nothing was written", () => {
  assert.throws(() => openStateReader(tempFolder()), { code: "UNAVAILABLE" });
});

test("a flipped bit in a value is noticed", async () => {
  const dir = tempFolder();
  const writer = openStateWriter(dir);
  writer.transact((tx) => tx.put(key("a"), { text: "needle-in-the-page" }));
  await writer.close();
  const file = path.join(dir, DATA_FILE);
  const at = readFileSync(file).lastIndexOf("needle");
  const handle = openSync(file, "r+");
  writeSync(handle, "m", at);
  closeSync(handle);
  const reader = openStateReader(dir);
  assert.throws(() => reader.read((view) => view.get(key("a"))), { code: "STORE_CORRUPT" });
  await reader.close();
});

test("a truncated state and one without meta pages are named, and do not take the process down", async () => {
  const damages: ((file: string) => void)[] = [
    (file) => truncateSync(file, statSync(file).size - 4_096),
    (file) => truncateSync(file, 8_192),
    (file) => {
      const handle = openSync(file, "r+");
      writeSync(handle, Buffer.alloc(8_192), 0, 8_192, 0);
      closeSync(handle);
    },
  ];
  for (const damage of damages) {
    const dir = tempFolder();
    await probeState(dir);
    const writer = openStateWriter(dir);
    writer.transact((tx) => {
      for (let i = 0; i < 2_000; i++) tx.put(key(`row ${i}`), "x".repeat(100));
    });
    await writer.close();
    await probeState(dir);
    damage(path.join(dir, DATA_FILE));
    await assert.rejects(probeState(dir), { code: "STORE_CORRUPT" });
  }
});

test("a large row that is read again is the same value, shared and frozen, until it is written anew or damaged", async () => {
  const dir = tempFolder();
  const writer = openStateWriter(dir);
  const row = (n: number) => ({
    n,
    layers: Array.from({ length: 100 }, (_, i) => ({ digest: `sha256:${i}`, size: i })),
  });
  writer.transact((tx) => tx.put(key("large"), row(1)));
  const reader = openStateReader(dir);
  const read = (): ReturnType<typeof row> =>
    reader.read((view) => view.get(key("large"))) as ReturnType<typeof row>;
  const first = read();
  assert.deepEqual(first, row(1));
  assert.equal(read(), first);
  assert.equal(
    reader.read((view) => [...view.range({ start: key("l"), end: "m" })][0]?.value),
    first,
  );
  assert.throws(() => {
    Object.assign(first.layers[7] ?? {}, { size: 0 });
  }, TypeError);
  writer.transact((tx) => tx.put(key("large"), row(2)));
  assert.deepEqual(read(), row(2));
  writer.transact((tx) => tx.remove(key("large")));
  assert.equal(read(), undefined);
  await reader.close();
  await writer.close();
});
