import assert from "node:assert/strict";
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { test } from "node:test";
import { GranaryError } from "../../../proto/errors.ts";
import { ARCHIVE_LIMITS } from "../../../proto/limits.ts";
import { type WalkedDirectory, walkDirectory } from "../../../services/cli/tree/walk-directory.ts";
import { tempFolder } from "../../helpers/temp-folder.ts";

test("a walk lists files, links and empty directories by path bytes", () => {
  const root = write({ "b.txt": "b", "a/z": "z", "a-b": "", é: "", Z: "" });
  mkdirSync(path.join(root, "empty/inner"), { recursive: true });
  symlinkSync("a/z", path.join(root, "link"));
  const walked = walk(root);
  assert.deepEqual(
    walked.entries.map((entry) => entry.path),
    ["Z", "a-b", "a/z", "b.txt", "empty/inner", "link", "é"],
  );
  assert.equal(walked.fileCount, 5);
  assert.equal(walked.sizeBytes, 2);
});

test(".git and .granary are left out and named, at the root and below", () => {
  const walked = walk(
    write({
      a: "",
      ".git/HEAD": "",
      ".granary/x": "",
      "vendor/.git/HEAD": "",
      "vendor/b": "",
      "sub/.git": "",
    }),
  );
  assert.deepEqual(
    walked.entries.map((entry) => entry.path),
    ["a", "sub", "vendor/b"],
  );
  assert.deepEqual(
    walked.leftOut.map(({ path: leftOut, by }) => [leftOut, by]),
    [
      [".git", "always"],
      [".granary", "always"],
      ["sub/.git", "always"],
      ["vendor/.git", "always"],
    ],
  );
});

test(".granaryignore is honoured in every directory, .gitignore only when it is asked for", () => {
  const root = write({
    ".granaryignore": "*.log\n",
    ".gitignore": "*.tmp\n",
    "x.log": "",
    "x.tmp": "",
    "d/.granaryignore": "!keep.log\n",
    "d/keep.log": "",
    "d/y.log": "",
  });
  const plain = walk(root).entries.map((entry) => entry.path);
  assert.deepEqual(plain, [".gitignore", ".granaryignore", "d/.granaryignore", "d/keep.log", "x.tmp"]);
  const withGit = walkDirectory({ directory: root, limits: ARCHIVE_LIMITS, gitignore: true });
  assert.ok(!withGit.entries.some((entry) => entry.path === "x.tmp"));
  assert.ok(withGit.leftOut.some(({ path: leftOut, by }) => leftOut === "x.tmp" && by === ".gitignore"));
});

test("what the farm would refuse is refused before anything is sent", () => {
  assert.equal(
    codeOf(() => walk(linked("../outside"))),
    "ARCHIVE_LINK_ESCAPES",
  );
  assert.equal(
    codeOf(() => walk(linked("nothing"))),
    "ARCHIVE_LINK_DANGLING",
  );
  assert.equal(
    codeOf(() => walk(linked("/etc/passwd"))),
    "ARCHIVE_LINK_ABSOLUTE",
  );
  assert.equal(
    codeOf(() => walk(linked("link"))),
    "ARCHIVE_LINK_LOOP",
  );
  assert.equal(
    codeOf(() => walk(write({}))),
    "ARCHIVE_EMPTY",
  );
  assert.equal(
    codeOf(() => walk(write({ "back\\slash": "" }))),
    "ARCHIVE_NAME_BACKSLASH",
  );
  assert.equal(
    codeOf(() => walk(write({ "bidi\u202e": "" }))),
    "ARCHIVE_NAME_CHARACTER",
  );
  assert.equal(
    codeOf(() => walk(write({ "e\u0301": "", "\u00e9": "" }))),
    "ARCHIVE_PATH_COLLISION",
  );
  assert.equal(
    codeOf(() => walk("/does/not/exist")),
    "USAGE",
  );
});

test("a socket is refused, not read", async (t) => {
  const root = write({ a: "" });
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path.join(root, "socket"), resolve));
  t.after(() => server.close());
  assert.equal(
    codeOf(() => walk(root)),
    "ARCHIVE_ENTRY_TYPE",
  );
});

test("a name that is not UTF-8 is refused instead of being changed", {
  skip: process.platform === "darwin" && "macOS refuses such names itself",
}, () => {
  const root = write({ a: "" });
  writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x66, 0xff])]), "");
  assert.equal(
    codeOf(() => walk(root)),
    "ARCHIVE_NAME_ENCODING",
  );
});

test("the limits that the farm told are the ones that count", () => {
  const root = write({ a: "12345", b: "12345" });
  const limited = (limits: object): string | undefined =>
    codeOf(() =>
      walkDirectory({ directory: root, limits: { ...ARCHIVE_LIMITS, ...limits }, gitignore: false }),
    );
  assert.equal(limited({ fileBytes: 4 }), "ARCHIVE_FILE_TOO_LARGE");
  assert.equal(limited({ expandedBytes: 9 }), "ARCHIVE_TOO_LARGE");
  assert.equal(limited({ entries: 1 }), "ARCHIVE_TOO_MANY_ENTRIES");
  assert.equal(limited({ expandedBytes: 10, entries: 2 }), undefined);
});

test("files that look like secrets are warned about", () => {
  const key = "-----BEGIN RSA PRIVATE KEY-----\nx\n";
  const walked = walk(
    write({
      ".env": "A=1",
      ".env.example": "A=",
      id_ed25519: "",
      "tls/server.key": key,
      "ca.pem": "-----BEGIN CERTIFICATE-----",
      ".npmrc": "//r/:_authToken=x",
      "home/.aws/credentials": "x",
      ".docker/config.json": "{}",
    }),
  );
  const warned = walked.warnings.join("\n");
  for (const name of [
    '".env"',
    "id_ed25519",
    "tls/server.key",
    ".npmrc",
    ".aws/credentials",
    ".docker/config",
  ])
    assert.ok(warned.includes(name), name);
  for (const name of [".env.example", "ca.pem"]) assert.ok(!warned.includes(name), name);
});

test("of a file that may be a key only the beginning is read", () => {
  const root = write({ "huge.key": "-----BEGIN PRIVATE KEY-----" });
  truncateSync(path.join(root, "huge.key"), 3 * 1024 ** 3);
  const limits = { ...ARCHIVE_LIMITS, fileBytes: 4 * 1024 ** 3, expandedBytes: 4 * 1024 ** 3 };
  const { warnings } = walkDirectory({ directory: root, limits, gitignore: false });
  assert.match(warnings.join("\n"), /huge\.key" holds a private key/);
});

test("a karta.toml one level down is warned about", () => {
  assert.match(walk(write({ "app/karta.toml": "", a: "" })).warnings.join("\n"), /one level down/);
  assert.doesNotMatch(
    walk(write({ "app/karta.toml": "", "karta.toml": "" })).warnings.join("\n"),
    /one level down/,
  );
});

function walk(directory: string): WalkedDirectory {
  return walkDirectory({ directory, limits: ARCHIVE_LIMITS, gitignore: false });
}

function linked(target: string): string {
  const root = write({ a: "" });
  symlinkSync(target, path.join(root, "link"));
  return root;
}

function write(files: Readonly<Record<string, string>>): string {
  const root = tempFolder();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), content);
  }
  return root;
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof GranaryError) return error.code;
    throw error;
  }
}
