import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { applyOnce, type CloudEvent, fileLedger } from "granary";
import { removeDir, tempDir } from "../../helpers/farm.ts";

const folder = tempDir("ledger");
after(() => removeDir(folder));

const source = "/orgs/o/projects/p";
const event = (n: number, granarycursor: string): CloudEvent =>
  ({ id: `o/p/${n}`, source, sequence: String(n).padStart(12, "0"), granarycursor }) as CloudEvent;

test("a ledger tells an event that comes again from one that has its number since a restore", async () => {
  const path = join(folder, "ledger.json");
  // As it was written before ledgers kept cursors.
  writeFileSync(path, JSON.stringify({ numbers: { [source]: 1 }, state: ["o/p/1"] }));
  const ledger = fileLedger<string[]>(path, []);
  const apply = (of: CloudEvent) => applyOnce(ledger, of, (tx) => void tx.state.push(of.id));
  assert.equal(await apply(event(1, "10000000007-0")), "repeated");
  for (const [n, cursor] of [
    [2, "8-0"],
    [3, "8-1"],
  ] as const)
    assert.equal(await apply(event(n, cursor)), "applied");
  assert.equal(await apply(event(2, "8-0")), "repeated");
  assert.equal(await apply(event(3, "8-1")), "repeated");
  await assert.rejects(apply(event(2, "10000000008-0")), {
    code: "CURSOR_EXPIRED",
    message: /restored: o\/p\/2 /,
    hint: /event_n/,
  });
  // What a person does who was told so: the snapshot says event_n 2, under a cursor behind all of this.
  await ledger.transaction(async (tx) => ledger.setLastNumber(tx, source, 2));
  assert.equal(await apply(event(2, "10000000008-0")), "repeated");
  assert.equal(await apply(event(3, "10000000009-0")), "applied");
  assert.deepEqual(await ledger.read(), ["o/p/1", "o/p/2", "o/p/3", "o/p/3"]);
});
