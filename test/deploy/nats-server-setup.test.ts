import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { findNatsBinary } from "../../services/shared/nats-binary.ts";
import { isFitNatsVersion, parseNatsVersion } from "../../services/shared/nats-version.ts";
import { REPOSITORY_ROOT } from "../helpers/repository-root.ts";
import { tempFolder } from "../helpers/temp-folder.ts";

const VERSIONS = [
  { text: "nats-server: v2.15.1", version: "2.15.1", fit: true },
  { text: "2.12.0-RC.1", version: "2.12.0", fit: true },
  { text: "2.15.1-1", version: "2.15.1", fit: true },
  { text: "v3.0.0", version: "3.0.0", fit: true },
  { text: "nats-server: v2.11.15", version: "2.11.15", fit: false },
  { text: "nats-server_2.9.10-1+b3_amd64.deb", version: "2.9.10", fit: false },
  { text: "v1.20.0", version: "1.20.0", fit: false },
  { text: "nats-server", version: undefined, fit: false },
];

test("set-up and the farm read versions alike, and both want 2.12 or newer", async () => {
  const setup: {
    parseNatsVersion(text: string): string | undefined;
    isFitNatsVersion(version: string | undefined): boolean;
  } = await import(setupModule("nats-version.mjs"));
  for (const { text, version, fit } of VERSIONS) {
    assert.equal(parseNatsVersion(text), version, text);
    assert.equal(setup.parseNatsVersion(text), version, text);
    assert.equal(version !== undefined && isFitNatsVersion(version), fit, text);
    assert.equal(setup.isFitNatsVersion(version), fit, text);
  }
});

const SOURCES = [
  {
    name: "deb822",
    file: "sources.list.d/debian.sources",
    text: "# a comment\nTypes: deb deb-src\nURIs: http://mirror.test/debian\nSuites: bookworm\n bookworm-updates\nComponents: main\n",
    mirror: "http://mirror.test/debian",
  },
  {
    name: "one line with options",
    file: "sources.list",
    text: "deb [arch=amd64 signed-by=/k.gpg] https://mirror.test/debian/ trixie main contrib # here\n",
    mirror: "https://mirror.test/debian/",
  },
  {
    name: "disabled",
    file: "sources.list.d/a.sources",
    text: "Enabled: no\nTypes: deb\nURIs: http://mirror.test/debian\nSuites: trixie\nComponents: main\n",
  },
  { name: "commented out", file: "sources.list", text: "#deb http://mirror.test/debian trixie main\n" },
  { name: "sources only", file: "sources.list", text: "deb-src http://mirror.test/debian trixie main\n" },
  { name: "local media", file: "sources.list", text: "deb cdrom:[Debian]/debian trixie main\n" },
  { name: "another distribution", file: "sources.list", text: "deb http://mirror.test/ubuntu noble main\n" },
  {
    name: "a file apt ignores",
    file: "sources.list.d/a.list.off",
    text: "deb http://mirror.test/debian trixie main\n",
  },
  {
    name: "the security archive",
    file: "sources.list",
    text: "deb http://mirror.test/debian trixie-security main\n",
  },
  {
    name: "a third party before the archive",
    file: "sources.list",
    text: "deb http://third.test/apt stable main\ndeb http://mirror.test/debian trixie main\n",
    mirror: "http://mirror.test/debian",
  },
];

for (const { name, file, text, mirror } of SOURCES) {
  test(`the machine's own Debian mirror is ${mirror ? "found" : "not found"}: ${name}`, async () => {
    const { aptMirror }: { aptMirror(folder: string): string | undefined } = await import(
      setupModule("apt-mirror.mjs")
    );
    const folder = tempFolder();
    mkdirSync(path.join(folder, "sources.list.d"));
    writeFileSync(path.join(folder, file), text);
    assert.equal(aptMirror(folder), mirror);
  });
}

test("a release archive with the published sum is unpacked, verified again at each set-up, and found by the farm", async (t) => {
  const { base, requests } = await serveRelease(t, {});
  const env = setupEnvironment({ GRANARY_NATS_RELEASES: base });
  const first = await findByForce(env);
  assert.match(first, /nats-server$/);
  assert.equal(requests.length, 2);
  assert.equal(await findByForce(env), first);
  assert.equal(requests.length, 2, "the cached copy is used");
  assert.deepEqual(await findNatsBinary({ GRANARY_CACHE: env.GRANARY_CACHE }), {
    path: first,
    version: "2.15.1",
  });
  assert.deepEqual(readdirSync(env.GRANARY_CACHE), ["nats-server"], "no work folder is left behind");

  chmodSync(first, 0o755);
  writeFileSync(first, `${readFileSync(first, "utf8")}# damaged\n`);
  await assert.rejects(findNatsBinary({ GRANARY_CACHE: env.GRANARY_CACHE }), { code: "NATS_MISSING" });
  assert.equal(await findByForce(env), first);
  assert.equal(requests.length, 4, "a damaged copy is fetched again");
  assert.equal((await findNatsBinary({ GRANARY_CACHE: env.GRANARY_CACHE })).path, first);
});

test("a release archive with another sum is refused", async (t) => {
  const { base } = await serveRelease(t, { sum: () => "0".repeat(64) });
  const env = setupEnvironment({ GRANARY_NATS_RELEASES: base });
  await assert.rejects(findByForce(env), /has sha256 [0-9a-f]{64}, but its release says 0{64}/);
  assert.equal(readdirSync(env.GRANARY_CACHE).length, 0, "nothing is kept");
});

test("a release whose sums do not list the archive, or that is not there, is refused in one line", async (t) => {
  const { base } = await serveRelease(t, { sum: () => undefined });
  await assert.rejects(
    findByForce(setupEnvironment({ GRANARY_NATS_RELEASES: base })),
    /SHA256SUMS does not list/,
  );
  const absent = setupEnvironment({ GRANARY_NATS_RELEASES: `${base}/absent` });
  await assert.rejects(findByForce(absent), (error: Error) => {
    assert.match(error.message, /HTTP 404/);
    assert.equal(error.message.trim().split("\n").length, 1);
    return true;
  });
});

test("a release that is too old is refused", async (t) => {
  const { base } = await serveRelease(t, { version: "2.11.0" });
  await assert.rejects(findByForce(setupEnvironment({ GRANARY_NATS_RELEASES: base })), /2\.11\.0 is too old/);
});

test("set-ups that run at the same time leave one whole copy", async (t) => {
  const { base } = await serveRelease(t, {});
  const env = setupEnvironment({ GRANARY_NATS_RELEASES: base });
  const found = await Promise.all(Array.from({ length: 6 }, () => findByForce(env)));
  assert.equal(new Set(found).size, 1);
  const cached = await findNatsBinary({ GRANARY_CACHE: env.GRANARY_CACHE });
  assert.equal(cached.path, found[0]);
  const left = readdirSync(path.join(env.GRANARY_CACHE, "nats-server")).sort();
  assert.deepEqual(left, [path.basename(path.dirname(cached.path)), "current.json"].sort());
});

test("NATS_SERVER_BIN comes before PATH, PATH before the cache, and PATH is passed over when it is too old", async (t) => {
  const { base, requests } = await serveRelease(t, {});
  const folder = tempFolder();
  const named = writeServer(path.join(folder, "named"), "2.14.0");
  const onPath = writeServer(path.join(folder, "new"), "2.12.1");
  writeServer(path.join(folder, "old"), "2.9.10");
  const env = setupEnvironment({ GRANARY_NATS_RELEASES: base });
  const withPath = (name: string) => ({ ...env, PATH: `${path.join(folder, name)}:${env.PATH}` });
  assert.equal(await findByForce({ ...withPath("new"), NATS_SERVER_BIN: named }), named);
  assert.equal(await findByForce(withPath("new")), onPath);
  assert.equal(requests.length, 0);
  const cached = await findByForce(withPath("old"));
  assert.ok(cached.startsWith(env.GRANARY_CACHE));
  await assert.rejects(
    findByForce({ ...env, NATS_SERVER_BIN: path.join(folder, "old", "nats-server") }),
    /is 2\.9\.10; 2\.12 or newer is needed/,
  );
  for (const path of ["new", "old"]) {
    assert.equal(
      (await findNatsBinary(withPath(path))).path,
      await findByForce(withPath(path)),
      "the farm agrees",
    );
  }
});

function setupModule(name: string): string {
  return pathToFileURL(path.join(REPOSITORY_ROOT, "deploy", "setup", name)).href;
}

/** An environment with an empty cache and a PATH that has what unpacking needs, and neither apt nor a server. */
function setupEnvironment<T extends Record<string, string>>(
  variables: T,
): T & { PATH: string; GRANARY_CACHE: string } {
  const folder = tempFolder();
  const tools = path.join(folder, "tools");
  mkdirSync(tools);
  for (const tool of ["tar", "gzip", "sh", "cat", "echo"]) {
    const file = spawnSync("/bin/sh", ["-c", `command -v ${tool}`], { encoding: "utf8" }).stdout.trim();
    if (path.isAbsolute(file)) symlinkSync(file, path.join(tools, tool));
  }
  return { ...variables, PATH: tools, GRANARY_CACHE: path.join(folder, "cache") };
}

/** Runs set-up's look-up in a process with exactly this environment; rejects with the one line that it prints. */
async function findByForce(env: Record<string, string>): Promise<string> {
  const script = `
    import { natsServer } from ${JSON.stringify(setupModule("nats-server.mjs"))};
    try { process.stdout.write((await natsServer(process.env)).path); }
    catch (error) { process.stderr.write(error.message); process.exitCode = 1; }`;
  try {
    const args = ["--input-type=module", "-e", script];
    return (await promisify(execFile)(process.execPath, args, { env })).stdout;
  } catch (error) {
    throw new Error(error instanceof Error && "stderr" in error ? String(error.stderr) : String(error));
  }
}

/** A file server with one release in the official layout, whose binary is a script that tells its version. */
async function serveRelease(
  t: TestContext,
  options: { version?: string; sum?: (archive: Buffer) => string | undefined },
): Promise<{ base: string; requests: readonly string[] }> {
  const { RELEASE_VERSION }: { RELEASE_VERSION: string } = await import(setupModule("nats-from-release.mjs"));
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  const name = `nats-server-v${RELEASE_VERSION}-${process.platform}-${architecture}`;
  const folder = tempFolder();
  writeServer(path.join(folder, name), options.version ?? RELEASE_VERSION);
  spawnSync("tar", ["-czf", `${name}.tar.gz`, name], { cwd: folder });
  const archive = readFileSync(path.join(folder, `${name}.tar.gz`));
  const sum = (options.sum ?? ((bytes) => createHash("sha256").update(bytes).digest("hex")))(archive);
  const files = new Map<string, Buffer>([
    [`/releases/v${RELEASE_VERSION}/${name}.tar.gz`, archive],
    [
      `/releases/v${RELEASE_VERSION}/SHA256SUMS`,
      Buffer.from(`${"1".repeat(64)}  another.zip\n${sum ? `${sum}  ${name}.tar.gz\n` : ""}`),
    ],
  ]);
  const requests: string[] = [];
  const server = http.createServer((request, response) => {
    requests.push(request.url ?? "");
    const body = files.get(request.url ?? "");
    response.writeHead(body ? 200 : 404).end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return { base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/releases`, requests };
}

function writeServer(folder: string, version: string): string {
  const file = path.join(folder, "nats-server");
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, `#!/bin/sh\necho "nats-server: v${version}"\n`);
  chmodSync(file, 0o755);
  return file;
}
