import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { ERROR_CODES } from "../../../proto/errors.ts";
import { comparePaths, type TreeEntry, treeDigest } from "../../../proto/tree.ts";
import { runCli } from "../../helpers/cli.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";
import { fakeRelease, sendJson, startFakeFarm } from "./fake-farm.ts";

const RELEASE = "/v1/orgs/acme/projects/bot/releases/v42";

/** `granary materialize acme/bot@v42 DIR` from a farm that vouches for any listing. @returns what lies beside DIR afterwards */
async function materialize(entries: readonly TreeEntry[], directory = "out") {
  const items = [...entries].sort((a, b) => comparePaths(a.path, b.path));
  const farm = await startFakeFarm({
    [`GET ${RELEASE}`]: ({ response }) => sendJson(response, 200, fakeRelease({ tree: treeDigest(items) })),
    [`GET ${RELEASE}/files`]: ({ response }) => sendJson(response, 200, { items, next_cursor: null }),
  });
  try {
    const cwd = path.join(tempFolder(), "a", "b");
    mkdirSync(cwd, { recursive: true });
    writeFileSync(path.join(cwd, "file"), "");
    const result = await runCli(["materialize", "acme/bot@v42", directory], { env: farm.env, cwd });
    return { ...result, left: readdirSync(path.join(cwd, "..", ".."), { recursive: true }).sort() };
  } finally {
    await farm.close();
  }
}

const HARMLESS: readonly TreeEntry[] = [
  { type: "directory", path: "empty" },
  { type: "symlink", path: "to-empty", target: "empty" },
];
const HOSTILE: readonly (readonly [what: string, entry: TreeEntry])[] = [
  ["a symlink above the folder", { type: "symlink", path: "../../planted", target: "x" }],
  ["a directory above the folder", { type: "directory", path: "../../planted" }],
  ["an absolute path", { type: "symlink", path: "/tmp/planted", target: "x" }],
  ["a symlink that leads out", { type: "symlink", path: "link", target: "../../../etc" }],
];

for (const [what, entry] of HOSTILE)
  test(`a farm that lists ${what} is refused, and nothing is written`, async () => {
    const { code, stderr, left } = await materialize([...HARMLESS, entry]);
    assert.equal(code, ERROR_CODES.VERIFY_MISMATCH.exit, stderr);
    assert.match(stderr, /the farm lists what no release can have/);
    assert.deepEqual(left, ["a", "a/b", "a/b/file"]);
  });

test("a folder that cannot be made is named with what the disk said", async () => {
  for (const [directory, errno] of [
    ["file", "ENOTDIR"],
    ["file/out", "ENOTDIR"],
    ["/proc/out", "ENOENT"],
  ] as const) {
    const { code, stderr } = await materialize(HARMLESS, directory);
    assert.equal(code, ERROR_CODES.USAGE.exit, stderr);
    assert.match(stderr, new RegExp(`${directory} cannot be made: [a-z]+ ${errno}`));
    assert.doesNotMatch(stderr, / at /, "no stack");
  }
});
