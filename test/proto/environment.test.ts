import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import {
  canonicalManifest,
  type EnvironmentLock,
  environmentId,
  manifestHash,
  mockLock,
  preliminaryId,
  unresolvedLock,
} from "../../proto/environment.ts";
import { parseKarapaceLock, requireLockOf } from "../../proto/karapace-lock.ts";
import { type Backend, parseKarapaceToml } from "../../proto/karapace-toml.ts";

interface Vectors {
  readonly upstream_canonical: {
    readonly base_image_digest: string;
    readonly default_backend: Backend;
    readonly vectors: readonly {
      readonly name: string;
      readonly env_id: string;
      readonly packages?: readonly [string, string][];
      readonly apps?: readonly string[];
      readonly mounts?: readonly [string, string, string][];
      readonly backend?: Backend;
      readonly gpu?: boolean;
      readonly audio?: boolean;
      readonly network_isolation?: boolean;
      readonly cpu_shares?: number;
      readonly memory_limit_mb?: number;
    }[];
  };
  readonly derived: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

const vectors = JSON.parse(readFileSync("test/golden/karapace-vectors.json", "utf8")) as Vectors;

/** A manifest that is as unordered and padded as one may be. */
const UNTIDY: Readonly<Record<string, string>> = {
  minimal: 'manifest_version = 1\nbase = { image = "\\u0085 rolling\\u3000" }\n',
  git_clang:
    'manifest_version = 1\n[base]\nimage = "rolling"\n[system]\npackages = ["git", " clang", "", "git ", "\\t"]\n',
  spec_example: [
    "manifest_version = 1",
    '[base]\nimage = "rolling"',
    '[system]\npackages = ["clang", "cmake", "git"]',
    '[gui]\napps = ["ide", "debugger"]',
    "[hardware]\ngpu = true\naudio = true",
    '[mounts]\nworkspace = "./:/workspace"',
    '[runtime]\nbackend = "namespace"\nnetwork_isolation = false',
    "[runtime.resource_limits]\ncpu_shares = 1024\nmemory_limit_mb = 4096\n",
  ].join("\n"),
  backend_case: 'manifest_version = 1\n[base]\nimage = "rolling"\n[runtime]\nbackend = " OCI "\n',
  mock_git:
    'manifest_version = 1\n[base]\nimage = "rolling"\n[system]\npackages = ["git"]\n[runtime]\nbackend = "mock"\n',
  mock_minimal: 'manifest_version = 1\n[base]\nimage = "rolling"\n[runtime]\nbackend = "mock"\n',
  case_sensitive_pkgs:
    'manifest_version = 1\n[base]\nimage = "Rolling"\n[system]\npackages = ["git", "Git"]\n',
};

for (const [name, vector] of Object.entries(vectors.derived)) {
  test(`the manifest ${name} has the published canonical JSON, hashes and lock ids`, () => {
    const manifest = parseKarapaceToml(Buffer.from(UNTIDY[name] ?? ""));
    assert.deepEqual(
      {
        canonical_json: canonicalManifest(manifest),
        manifest_object_hash: manifestHash(manifest),
        preliminary_env_id: preliminaryId(manifest),
        init_lock_env_id: environmentId(unresolvedLock(manifest)),
        mock_digest: mockLock(manifest).baseImageDigest,
        mock_env_id: environmentId(mockLock(manifest)),
      },
      vector,
    );
  });
}

for (const vector of vectors.upstream_canonical.vectors) {
  test(`a lock has the env_id of the reference implementation: ${vector.name}`, () => {
    const lock: EnvironmentLock = {
      baseImage: "any",
      baseImageDigest: vectors.upstream_canonical.base_image_digest,
      packages: (vector.packages ?? []).map(([name, version]) => ({ name, version })),
      apps: vector.apps ?? [],
      backend: vector.backend ?? vectors.upstream_canonical.default_backend,
      gpu: vector.gpu ?? false,
      audio: vector.audio ?? false,
      networkIsolation: vector.network_isolation ?? false,
      mounts: (vector.mounts ?? []).map(([label, hostPath, containerPath]) => ({
        label,
        hostPath,
        containerPath,
      })),
      ...(vector.cpu_shares === undefined ? {} : { cpuShares: BigInt(vector.cpu_shares) }),
      ...(vector.memory_limit_mb === undefined ? {} : { memoryLimitMb: BigInt(vector.memory_limit_mb) }),
    };
    assert.equal(environmentId(lock), vector.env_id);
    assert.equal(environmentId({ ...lock, packages: lock.packages.toReversed() }), vector.env_id);
  });
}

const BASE = 'manifest_version = 1\n[base]\nimage = "x"\n';

const REFUSED: readonly [string, string, string, number?, number?][] = [
  ["an unknown key at the root", `wat = 1\n${BASE}`, "failed to parse manifest: unknown field `wat`", 1, 1],
  [
    "an unknown key of a table",
    `${BASE}tag = "y"\n`,
    "failed to parse manifest: unknown field `base.tag`",
    4,
    1,
  ],
  [
    "an unknown key three levels down",
    `${BASE}[runtime.resource_limits]\n  gpu = 1\n`,
    "unknown field",
    5,
    3,
  ],
  ["no manifest_version", '[base]\nimage = "x"\n', "failed to parse manifest: missing field"],
  ["no base", "manifest_version = 1\n", "failed to parse manifest: missing field `base`"],
  ["no image", "manifest_version = 1\n[base]\n", "failed to parse manifest: missing field `image`", 2, 1],
  [
    "another version",
    BASE.replace("= 1", "= 2"),
    "unsupported manifest_version: 2, expected 1 (karapace.toml:1:1)",
    1,
    1,
  ],
  ["a version that is no integer", BASE.replace("= 1", "= 1.0"), "`manifest_version` must be an integer", 1],
  ["a version that is a string", BASE.replace("= 1", '= "1"'), "`manifest_version` must be an integer", 1],
  ["a blank image", BASE.replace('"x"', '" \\u0085\\u2003"'), "base.image must not be empty", 3, 1],
  ["an array that is a string", `${BASE}[system]\npackages = "git"\n`, "must be an array of strings", 5, 1],
  ["an array with a number", `${BASE}[system]\npackages = ["git", 1]\n`, "must be an array of strings", 5, 1],
  ["a boolean that is a number", `${BASE}[hardware]\ngpu = 1\n`, "`hardware.gpu` must be a boolean", 5, 1],
  ["a blank label", `${BASE}[mounts]\n" " = "a:b"\n`, "mount label must not be empty", 5, 1],
  [
    "a mount without a colon",
    `${BASE}[mounts]\nw = "/a"\n`,
    "invalid mount declaration for 'w': '/a', expected '<host>:<container>'",
    5,
    1,
  ],
  ["a mount with two colons", `${BASE}[mounts]\nw = "/a:/b:ro"\n`, "invalid mount declaration for 'w'", 5],
  ["a mount with an empty side", `${BASE}[mounts]\nw = "/a: "\n`, "invalid mount declaration for 'w'", 5],
  ["a mount that is a table", `${BASE}[mounts.w]\na = 1\n`, "`mounts.w` must be a string", 4],
  [
    "an unknown backend",
    `${BASE}[runtime]\nbackend = "docker"\n`,
    "unsupported runtime.backend: 'docker'",
    5,
  ],
  ["a negative limit", `${BASE}[runtime.resource_limits]\ncpu_shares = -1\n`, "not negative", 5, 1],
  [
    "a limit that is no integer",
    `${BASE}[runtime.resource_limits]\ncpu_shares = 1.5\n`,
    "not negative",
    5,
    1,
  ],
  ["what is no TOML", "manifest_version = \n", "failed to parse manifest: ", 1],
  ["a duplicate key", `${BASE}image = "y"\n`, "failed to parse manifest: ", 4],
  ["__proto__", `${BASE}[__proto__]\na = 1\n`, "failed to parse manifest: "],
  ["two byte order marks", `\ufeff\ufeff${BASE}`, "failed to parse manifest: ", 1],
  ["a key of 100,000 parts", `${"a.".repeat(30_000)}b = 1\n`, "failed to parse manifest: "],
];

for (const [what, text, message, line, column] of REFUSED) {
  test(`a manifest is refused with ${what}`, () => {
    assert.throws(
      () => parseKarapaceToml(Buffer.from(text)),
      (error: { code: string; message: string; detail: { line?: number; column?: number } }) => {
        assert.equal(error.code, "ENVIRONMENT_INVALID");
        assert.ok(error.message.includes(message), error.message);
        if (line !== undefined) assert.equal(error.detail.line, line, error.message);
        if (column !== undefined) assert.equal(error.detail.column, column, error.message);
        return true;
      },
    );
  });
}

test("a manifest of more than 64 KiB, or that is no UTF-8, is refused before it is parsed", () => {
  assert.throws(() => parseKarapaceToml(Buffer.alloc(65_537, 0x23)), { code: "MANIFEST_TOO_LARGE" });
  assert.throws(() => parseKarapaceToml(Buffer.from([0xff, 0x0a])), {
    code: "ENVIRONMENT_INVALID",
    message: "failed to parse manifest: it is not valid UTF-8",
  });
});

test("limits keep their 64 bits, and 0 is a value that is set", () => {
  const manifest = parseKarapaceToml(
    Buffer.from(`${BASE}[runtime.resource_limits]\ncpu_shares = 0\nmemory_limit_mb = 9223372036854775807\n`),
  );
  assert.match(canonicalManifest(manifest), /"cpu_shares":0,"memory_limit_mb":9223372036854775807\}$/);
  assert.notEqual(preliminaryId(manifest), preliminaryId(parseKarapaceToml(Buffer.from(BASE))));
});

test("names are sorted by UTF-8 bytes, and only Unicode's white space is trimmed", () => {
  const manifest = parseKarapaceToml(
    Buffer.from(`${BASE}[system]\npackages = ["\u{1f600}", "\uffee", "\ufeffa", "\u0085b\u2028"]\n`),
  );
  assert.deepEqual(manifest.packages, ["b", "\ufeffa", "\uffee", "\u{1f600}"]);
});

const LOCK = `lock_version = 2
env_id = "dfea3163e5925ee788a97fae24d9ec08f774c29c64c9180befe771d877e62f18"
short_id = "dfea3163e592"
base_image = "x"
base_image_digest = "sha256:abc123"
resolved_apps = []
runtime_backend = "namespace"
hardware_gpu = false
hardware_audio = false
network_isolation = false
[[resolved_packages]]
name = "curl"
version = "7.88.1"
[[resolved_packages]]
name = "git"
version = "2.39.2"
`;

test("a lock is read, recomputed and compared with its manifest", () => {
  const lock = parseKarapaceLock(Buffer.from(LOCK));
  requireLockOf(lock, parseKarapaceToml(Buffer.from(`${BASE}[system]\npackages = ["git", "curl"]\n`)));
  for (const other of [BASE, `${BASE}[system]\npackages = ["git", "curl"]\n[hardware]\ngpu = true\n`])
    assert.throws(() => requireLockOf(lock, parseKarapaceToml(Buffer.from(other))), { code: "LOCK_STALE" });
});

for (const [what, from, to] of [
  ["another version of a package", "7.88.1", "7.88.2"],
  ["another base digest", "sha256:abc123", "sha256:abc124"],
  ["a short_id of another", 'short_id = "dfea3163e592"', 'short_id = "dfea3163e593"'],
  ["another lock_version", "lock_version = 2", "lock_version = 1"],
  ["an unknown key", "lock_version = 2", "lock_version = 2\nextra = 1"],
  ["a member missing", "resolved_apps = []\n", ""],
  ["a backend of no kind", '"namespace"', '"docker"'],
] as const) {
  test(`a lock is refused with ${what}`, () => {
    assert.throws(() => parseKarapaceLock(Buffer.from(LOCK.replace(from, to))), { code: "LOCK_INVALID" });
  });
}
