import { type FsOp, injectFault } from "../../store/fs.ts";
import { openStoreFixture } from "./store-fixture.ts";
import { collect, contentsOfTree, putTree, type StoredTree } from "./store-trees.ts";

/**
 * Child process of the crash test of GC: publishes trees, retires most of them, collects, and dies in the n-th call of a file-system
 * operation from the first collection on. Prints `keep NUMBER` for each tree that is committed, and `drop NUMBER` before it is
 * no root any more. The trees of earlier children are roots throughout.
 */
const [dir, firstText, keptText, op, afterText] = process.argv.slice(2);
if (dir === undefined || op === undefined)
  throw new RangeError("usage: garbage-crash-main DIR FIRST KEPT OP AFTER");
const fixture = await openStoreFixture(dir);
const say = (line: string) => process.stdout.write(`${line}\n`);
const roots = new Map<number, StoredTree>();
for (const number of JSON.parse(keptText ?? "[]") as number[]) roots.set(number, await put(number));
say("open");
for (let number = Number(firstText); ; number++) {
  roots.set(number, await put(number));
  say(`keep ${number}`);
  if (number % 4 !== 3) continue;
  for (const old of [...roots.keys()].slice(0, -2)) {
    say(`drop ${old}`);
    roots.delete(old);
  }
  if (number - Number(firstText) < 8)
    injectFault(fixture.store.workerData().fsCells, {
      op: op as FsOp,
      errno: "KILL",
      after: Number(afterText),
    });
  await collect(fixture, [...roots.values()]);
}

function put(number: number): Promise<StoredTree> {
  return putTree(
    fixture,
    contentsOfTree(number).map(({ bytes }) => bytes),
  );
}
