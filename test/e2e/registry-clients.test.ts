import assert from "node:assert/strict";
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { ReleaseJson } from "../../proto/http.ts";
import { runCli } from "../helpers/cli.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { missing, runProgram } from "../helpers/run-program.ts";
import { makeSampleTree } from "../helpers/sample-tree.ts";

/** What other people's clients make of a release that nobody ever pushed. */
const folder = tempDir("registry-clients");
const app = join(folder, "app");
let farm: TestFarm;
let release: ReleaseJson;

before(async () => {
  farm = await startTestFarm({ data: join(folder, "data") });
  mkdirSync(app);
  makeSampleTree(app, { longNames: true });
  mkdirSync(join(app, "node_modules/left-pad"), { recursive: true });
  const published = await runCli(["publish", app, "-p", "app", "--commit", "1234567", "--json"], {
    env: { GRANARY_URL: farm.url, GRANARY_TOKEN: farm.token },
  });
  assert.equal(published.code, 0, published.stderr);
  release = JSON.parse(published.stdout) as ReleaseJson;
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

async function succeeds(program: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(program, args);
  assert.equal(code, 0, `${program} ${args[0]}: ${stderr}${stdout}`);
  return stdout;
}

function source(reference: string): string {
  return `docker://${farm.registry}/default/app${reference}`;
}

describe("skopeo", { skip: missing("skopeo") }, () => {
  test("inspects a tag: its digest is the release's image digest", async () => {
    const credentials = `ci:${farm.token}`;
    const out = await succeeds("skopeo", [
      "inspect",
      "--tls-verify=false",
      "--creds",
      credentials,
      source(":v1"),
    ]);
    const inspected = JSON.parse(out) as { Digest: string; RepoTags: string[]; Architecture: string };
    assert.equal(inspected.Digest, release.image_digest);
    assert.deepEqual(inspected.RepoTags, ["current", "v1"]);
    assert.equal(inspected.Architecture, "amd64");
  });

  for (const reference of ["image_ref", "tag"]) {
    test(`copies by ${reference} to an OCI layout and to a directory`, async () => {
      const from = reference === "tag" ? source(":current") : `docker://${release.image_ref}`;
      const credentials = `ci:${farm.token}`;
      for (const to of [
        `oci:${join(folder, `oci-${reference}`)}:v1`,
        `dir:${join(folder, `dir-${reference}`)}`,
      ]) {
        await succeeds("skopeo", [
          "copy",
          "-q",
          // Else skopeo compresses the layers for an OCI layout, which gives them other names.
          "--preserve-digests",
          "--src-tls-verify=false",
          "--src-creds",
          credentials,
          from,
          to,
        ]);
      }
      const index = JSON.parse(readFileSync(join(folder, `oci-${reference}`, "index.json"), "utf8")) as {
        manifests: { digest: string }[];
      };
      assert.equal(index.manifests[0]?.digest, release.image_digest);
    });
  }

  test("is refused without a token", async () => {
    const { code, stderr } = await runProgram("skopeo", ["inspect", "--tls-verify=false", source(":v1")]);
    assert.notEqual(code, 0);
    assert.match(stderr, /unauthorized|authentication required/i);
  });

  test("unpacked, the layers are the published directory, and nothing else", {
    skip: missing("tar"),
  }, async () => {
    const layout = join(folder, "unpack-dir");
    const root = join(folder, "unpacked");
    mkdirSync(root);
    const credentials = `ci:${farm.token}`;
    await succeeds("skopeo", [
      "copy",
      "-q",
      "--src-tls-verify=false",
      "--src-creds",
      credentials,
      source(":v1"),
      `dir:${layout}`,
    ]);
    const manifest = JSON.parse(readFileSync(join(layout, "manifest.json"), "utf8")) as {
      layers: { digest: string }[];
    };
    for (const { digest } of manifest.layers)
      await succeeds("tar", ["-xf", join(layout, digest.slice("sha256:".length)), "-C", root]);
    assert.deepEqual(readdirSync(root), ["app"]);
    assert.deepEqual(listing(join(root, "app")), listing(app));
  });
});

describe("podman", { skip: missing("podman") }, () => {
  // podman refuses a runroot of more than 50 characters.
  const home = tempDir("p");
  after(() => rmSync(home, { recursive: true, force: true }));

  test("pulls by image_ref and by tag into a storage of its own", async () => {
    const storage = [
      ...["--root", join(home, "root"), "--runroot", join(home, "run")],
      ...["--tmpdir", join(home, "tmp"), "--storage-driver", "vfs"],
    ];
    const credentials = ["--tls-verify=false", "--creds", `ci:${farm.token}`];
    await succeeds("podman", [...storage, "pull", "-q", ...credentials, release.image_ref]);
    await succeeds("podman", [...storage, "pull", "-q", ...credentials, `${farm.registry}/default/app:v1`]);
    const out = await succeeds("podman", [...storage, "images", "--digests", "--format", "{{.Digest}}"]);
    assert.ok(out.includes(release.image_digest), out);
    await succeeds("podman", [...storage, "rmi", "-a", "-f"]);
  });
});

/** Everything below a directory: type, executable bit and content. */
function listing(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .map((path) => {
      const file = join(root, path);
      const stat = lstatSync(file);
      if (stat.isSymbolicLink()) return `l ${path} -> ${readlinkSync(file)}`;
      if (stat.isDirectory()) return `d ${path}`;
      return `${(stat.mode & 0o100) === 0 ? "f" : "x"} ${path} ${readFileSync(file).toString("base64")}`;
    })
    .sort();
}
