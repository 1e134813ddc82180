import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { resolveSymlinks } from "../../proto/symlinks.ts";
import { cpuMs } from "../helpers/cpu-ms.ts";

/** The tree of these tests: files f and d/g, directories d and d/e. */
const KINDS = new Map<string, "file" | "directory">([
  ["f", "file"],
  ["d", "directory"],
  ["d/g", "file"],
  ["d/e", "directory"],
]);

function outcome(links: Readonly<Record<string, string>>): string {
  try {
    resolveSymlinks(new Map(Object.entries(links)), (path) => KINDS.get(path));
    return "fine";
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe("symlinks of a tree", () => {
  it("may point to files, directories, the root, and through other links", () => {
    const fine = [
      { l: "f" },
      { l: "d" },
      { l: "d/" },
      { l: "./d//./g" },
      { l: "." },
      { "d/l": ".." },
      { "d/l": "../f" },
      { l: "d/e/../g" },
      { a: "d", b: "a/g" },
      { a: "d/e", b: "a/../g" },
      { a: ".", b: "a/a/a/f" },
    ];
    for (const links of fine) assert.equal(outcome(links), "fine", JSON.stringify(links));
  });

  it("are refused where they end in nothing, outside, or nowhere", () => {
    const refused: Readonly<Record<string, readonly Readonly<Record<string, string>>[]>> = {
      ARCHIVE_LINK_DANGLING: [
        { l: "x" },
        { l: "f/" },
        { l: "f/." },
        { l: "f/../f" },
        { l: "d/x/../g" },
        { a: "f", b: "a/x" },
        { l: "d/f" },
      ],
      ARCHIVE_LINK_ESCAPES: [
        { l: ".." },
        { l: "../x" },
        { "d/l": "../../f" },
        { a: ".", b: "a/../f" },
        { "d/a": "..", b: "d/a/../f" },
      ],
      ARCHIVE_LINK_LOOP: [{ l: "l" }, { a: "b", b: "a" }, { a: "b/x", b: "a/x" }, { a: "d/../a" }],
    };
    for (const [code, cases] of Object.entries(refused))
      for (const links of cases) assert.equal(outcome(links), code, JSON.stringify(links));
  });

  it("may form chains as long as the kernel follows, and none longer", () => {
    const chain = (length: number) =>
      Object.fromEntries(Array.from({ length }, (_, i) => [`l${i + 1}`, i === 0 ? "f" : `l${i}`]));
    assert.equal(outcome(chain(40)), "fine");
    assert.equal(outcome(chain(41)), "ARCHIVE_LINK_LOOP");
    assert.equal(outcome({ ...chain(20), again: "l20", both: "d/../l20" }), "fine");
  });

  it("that would take ages to follow one by one are refused or resolved in milliseconds", () => {
    const doubling = Object.fromEntries(
      Array.from({ length: 60 }, (_, i) => [`l${i}`, i === 0 ? "." : `l${i - 1}/l${i - 1}`]),
    );
    const { ms, error } = cpuMs(() => {
      assert.equal(outcome(doubling), "ARCHIVE_LINK_LOOP");
      const long = `${"d/../".repeat(200)}f`;
      assert.equal(
        outcome(Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`l${i}`, long]))),
        "ARCHIVE_LINK_LOOP",
        "too many steps",
      );
    });
    assert.ifError(error);
    assert.ok(ms < 5_000, `${ms} ms`);
  });

  it("end where the kernel says", () => {
    const segment = fc.constantFrom("a", "b", "d", "e", "f", "g", "..", ".");
    const target = fc.array(segment, { minLength: 1, maxLength: 5 }).map((segments) => segments.join("/"));
    const links = fc.dictionary(fc.constantFrom("a", "b", "d/a", "d/b", "d/e/a"), target, {
      minKeys: 1,
      maxKeys: 4,
    });
    fc.assert(
      fc.property(links, (given) => {
        const folder = mkdtempSync(join(tmpdir(), "granary-links-"));
        try {
          // Deep enough that no target climbs out of the folder itself.
          const root = join(folder, "1/2/3/4/5/6/root");
          mkdirSync(join(root, "d/e"), { recursive: true });
          for (const path of ["f", "d/g"]) writeFileSync(join(root, path), "");
          for (const [path, to] of Object.entries(given)) symlinkSync(to, join(root, path));
          const resolvable = Object.keys(given).every((path) => resolves(join(root, path)));
          const ours = outcome(given);
          // Outside the root there is nothing but the way down to it, which a link may take; that is refused here.
          if (ours === "fine") assert.ok(resolvable);
          else if (ours !== "ARCHIVE_LINK_ESCAPES") assert.ok(!resolvable, ours);
        } finally {
          rmSync(folder, { recursive: true });
        }
      }),
      { numRuns: 300 },
    );
  });
});

function resolves(path: string): boolean {
  try {
    statSync(path);
    return true;
  } catch {
    return false;
  }
}
