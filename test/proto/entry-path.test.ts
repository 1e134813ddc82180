import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { checkCharacters, checkEntryPath, portabilityProblem, quote } from "../../proto/entry-path.ts";
import { GranaryError } from "../../proto/errors.ts";
import { ARCHIVE_LIMITS } from "../../proto/limits.ts";

const code = (path: string, limits = ARCHIVE_LIMITS): string => {
  try {
    checkEntryPath(path, limits);
    return "fine";
  } catch (error) {
    assert.ok(error instanceof GranaryError, String(error));
    return error.code;
  }
};

describe("a path of a tree", () => {
  it("may hold what Linux allows", () => {
    const fine = [
      "a",
      "a/b",
      ".hidden",
      "...",
      "a..b",
      "..a",
      "a..",
      "a.",
      "-rf",
      "$(x)",
      " ",
      "a b",
      "~",
      "ä/日本/😀",
      "a:b/c:d".slice(2),
      "CON",
      "a*?",
      "x".repeat(255),
      "ab:c",
    ];
    for (const path of fine) assert.equal(code(path), "fine", path);
  });

  it("is refused with the code of the rule that it breaks", () => {
    const refused: Readonly<Record<string, readonly string[]>> = {
      ARCHIVE_PATH_ABSOLUTE: ["/", "/a", "//a", "/../a"],
      ARCHIVE_PATH_TRAVERSAL: ["..", "../a", "a/..", "a/../b"],
      ARCHIVE_PATH_SEGMENT: ["", ".", "a/", "a//b", "./a", "a/.", "a/./b"],
      ARCHIVE_PATH_DRIVE: ["C:", "c:/x", "Z:x"],
      ARCHIVE_NAME_BACKSLASH: ["a\\b", "\\", "C:\\x"],
      ARCHIVE_NAME_CHARACTER: [
        "a\0",
        "\n",
        "a\u001b",
        "a\u0080",
        "\u200e",
        "\u202e",
        "\u2069",
        "a\ufeff",
        "\u061c",
      ],
      ARCHIVE_NAME_ENCODING: ["a\ud800", "\udc00b"],
      ARCHIVE_PATH_TOO_LONG: [
        "x".repeat(256),
        `${"é".repeat(127)}xx`,
        `a/${"日".repeat(86)}`,
        `${"s".repeat(200)}/`.repeat(6).slice(0, -1),
      ],
      ARCHIVE_PATH_TOO_DEEP: ["a/".repeat(64).concat("a")],
    };
    for (const [expected, paths] of Object.entries(refused))
      for (const path of paths) assert.equal(code(path), expected, JSON.stringify(path));
  });

  it("may reach each limit and not pass it", () => {
    assert.equal(code("a/".repeat(63).concat("a")), "fine");
    const longest = `${"s".repeat(203)}/`.repeat(5).slice(0, 1020).concat("tail");
    assert.equal(longest.length, 1024);
    assert.equal(code(longest), "fine");
    assert.equal(code(`${longest}x`), "ARCHIVE_PATH_TOO_LONG");
    assert.equal(
      code("abcdef", { ...ARCHIVE_LIMITS, pathBytes: 5 }),
      "ARCHIVE_PATH_TOO_LONG",
      "also on the fast way",
    );
  });

  it("is judged alike by the fast way and the slow one", () => {
    const text = fc.string({
      unit: fc.constantFrom("a", ".", "/", "..", "./", ":", "C", " ", "\\", "é"),
      maxLength: 12,
    });
    fc.assert(
      fc.property(text, (path) => {
        const segments = path.split("/");
        const bad =
          path.includes("\\") ||
          /^[A-Za-z]:/.test(path) ||
          segments.some((segment) => segment === "" || segment === "." || segment === "..");
        assert.equal(code(path) !== "fine", bad, path);
      }),
    );
  });
});

describe("messages", () => {
  it("never carry characters that steer a terminal or turn text around", () => {
    const shown = quote("a\u001b[31m\u202eb\u009b\ufeff\n");
    assert.equal(shown, '"a\\u001b[31m\\u202eb\\u009b\\ufeff\\n"');
    assert.ok(quote("x".repeat(5_000)).length < 210);
  });

  it("name the entry at fault, not only the text", () => {
    assert.throws(() => checkCharacters("a\nb", "link target", "bin/run"), {
      code: "ARCHIVE_NAME_CHARACTER",
      detail: { path: "bin/run", actual: "U+000A" },
    });
  });
});

describe("portability", () => {
  it("problems are found in any segment", () => {
    for (const path of [
      "con",
      "a/NUL",
      "aux.txt",
      "lpt1/x",
      "com9.",
      "COM¹.txt",
      "conin$",
      "nul .txt",
      "a.",
      "a./b",
      "a /b",
      "a<b",
      "x/a|b",
      'a"',
      "ab:c",
      "a?",
      "b/*",
    ]) {
      assert.notEqual(portabilityProblem(path), undefined, path);
    }
  });

  it("is granted to ordinary names", () => {
    for (const path of [
      "console",
      "a/nullable",
      "auxiliary.txt",
      "com10",
      "lpt",
      ".a",
      "a b/c.d",
      "communication/x",
      "ä",
    ]) {
      assert.equal(portabilityProblem(path), undefined, path);
    }
  });
});
