import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { digestOf } from "../../proto/digest.ts";
import type { ReleaseJson } from "../../proto/http.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { type Answer, makeToken, publishReady, type SendOptions, send } from "../helpers/farm-requests.ts";
import { noise } from "../helpers/hostile-sizes.ts";

/** OCI distribution-spec 1.1 over plain HTTP (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md). */
interface OciErrors {
  readonly errors: readonly { readonly code: string; readonly message: string }[];
}
interface Manifest {
  readonly mediaType: string;
  readonly config: { readonly digest: string; readonly size: number };
  readonly layers: readonly { readonly digest: string; readonly size: number; readonly mediaType: string }[];
}

const folder = tempDir("registry");
const CODE = "print('hello')\n".repeat(40_000);
let farm: TestFarm;
let release: ReleaseJson;
let layer: { digest: string; size: number; bytes: Buffer };

before(async () => {
  farm = await startTestFarm({ data: join(folder, "data") });
  const files = {
    "main.py": CODE,
    "node_modules/a/index.js": "1",
    "big.bin": noise(9_000_000).toString("latin1"),
  };
  release = await publishReady(farm, "app", appArchive(files), { query: { commit: "1234567" } });
  const descriptor = release.layers.at(-1);
  assert.ok(descriptor !== undefined);
  layer = { ...descriptor, bytes: await blob(descriptor.digest) };
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  removeDir(folder);
});

function get<T = unknown>(path: string, options: SendOptions = {}): Promise<Answer<T>> {
  return send<T>(farm, `/v2/${path}`, options);
}

async function blob(digest: string, headers: Record<string, string> = {}): Promise<Buffer> {
  const response = await farm.fetch(`/v2/default/app/blobs/${digest}`, { headers });
  return Buffer.from(await response.arrayBuffer());
}

/** Checks an error answer in OCI's form. */
function ociError(answer: Answer<unknown>, status: number, code: string): void {
  assert.equal(answer.status, status, answer.text);
  const { errors } = answer.body as OciErrors;
  assert.equal(errors[0]?.code, code, answer.text);
  assert.ok((errors[0]?.message ?? "").length > 0);
}

describe("a published release, pulled without any push", () => {
  test("manifest, config and layers have the digests and sizes that they are named by", async () => {
    const response = await farm.fetch(`/v2/default/app/manifests/${release.image_digest}`);
    const bytes = Buffer.from(await response.arrayBuffer());
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("docker-content-digest"), release.image_digest);
    assert.equal(response.headers.get("content-type"), "application/vnd.oci.image.manifest.v1+json");
    assert.equal(digestOf(bytes), release.image_digest);
    const manifest = JSON.parse(bytes.toString("utf8")) as Manifest;
    assert.equal(manifest.layers.length, 3, "the dependency folder, and the application in two slices");
    for (const { digest, size } of [manifest.config, ...manifest.layers]) {
      const content = await blob(digest);
      assert.equal(content.byteLength, size);
      assert.equal(digestOf(content), digest);
    }
  });

  for (const tag of ["v1", "current", "latest"]) {
    test(`the tag ${tag} names the release`, async () => {
      const answer = await get(`default/app/manifests/${tag}`);
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.headers.get("docker-content-digest"), release.image_digest);
    });
  }

  test("HEAD says what GET would, without a body", async () => {
    for (const [path, size] of [
      [`manifests/${release.image_digest}`, undefined],
      [`manifests/v1`, undefined],
      [`blobs/${layer.digest}`, layer.size],
    ] as const) {
      const head = await get(`default/app/${path}`, { method: "HEAD" });
      const whole = await farm.fetch(`/v2/default/app/${path}`);
      const bytes = Buffer.from(await whole.arrayBuffer());
      assert.deepEqual([head.status, head.text], [200, ""]);
      for (const name of ["content-length", "content-type", "docker-content-digest", "etag"])
        assert.equal(head.headers.get(name), whole.headers.get(name), `${name} of ${path}`);
      assert.equal(Number(head.headers.get("content-length")), size ?? bytes.byteLength);
    }
  });

  test("a known digest is answered 304 without content", async () => {
    for (const path of [`manifests/v1`, `blobs/${layer.digest}`]) {
      const etag = (await get(`default/app/${path}`, { method: "HEAD" })).headers.get("etag") ?? "";
      for (const known of [etag, `"other", ${etag}`, `W/${etag}`, "*"]) {
        const answer = await get(`default/app/${path}`, { headers: { "if-none-match": known } });
        assert.deepEqual([answer.status, answer.text], [304, ""], known);
      }
      const other = await get(`default/app/${path}`, {
        method: "HEAD",
        headers: { "if-none-match": '"other"' },
      });
      assert.equal(other.status, 200);
    }
  });
});

describe("ranges of a blob", () => {
  const ranges: readonly {
    name: string;
    range: (size: number) => string;
    slice: (bytes: Buffer) => Buffer;
  }[] = [
    { name: "the first byte", range: () => "bytes=0-0", slice: (b) => b.subarray(0, 1) },
    { name: "the last byte", range: (n) => `bytes=${n - 1}-${n - 1}`, slice: (b) => b.subarray(-1) },
    { name: "the middle", range: () => "bytes=300000-700001", slice: (b) => b.subarray(300_000, 700_002) },
    {
      name: "inside a large file",
      range: () => "bytes=5000000-7500000",
      slice: (b) => b.subarray(5_000_000, 7_500_001),
    },
    {
      name: "from a place to the end",
      range: (n) => `bytes=${n - 600_000}-`,
      slice: (b) => b.subarray(-600_000),
    },
    { name: "a suffix", range: () => "bytes=-1000", slice: (b) => b.subarray(-1000) },
    {
      name: "an end beyond the blob",
      range: (n) => `bytes=${n - 5}-${n + 500}`,
      slice: (b) => b.subarray(-5),
    },
    { name: "a suffix longer than the blob", range: (n) => `bytes=-${n + 500}`, slice: (b) => b },
  ];
  for (const { name, range, slice } of ranges) {
    test(`${name}: 206 with exactly those bytes`, async () => {
      const response = await farm.fetch(`/v2/default/app/blobs/${layer.digest}`, {
        headers: { range: range(layer.size) },
      });
      const bytes = Buffer.from(await response.arrayBuffer());
      const expected = slice(layer.bytes);
      assert.equal(response.status, 206);
      assert.ok(bytes.equals(expected), `${bytes.byteLength} bytes instead of ${expected.byteLength}`);
      const start = layer.bytes.byteLength - expected.byteLength;
      const at = name.includes("suffix") || name.includes("end") || name.includes("last") ? start : undefined;
      const header = response.headers.get("content-range") ?? "";
      assert.match(header, new RegExp(`^bytes [0-9]+-[0-9]+/${layer.size}$`));
      if (at !== undefined) assert.equal(header, `bytes ${at}-${layer.size - 1}/${layer.size}`);
    });
  }

  test("a range outside the blob is 416 and tells the size", async () => {
    for (const range of [`bytes=${layer.size}-`, `bytes=${layer.size + 5}-${layer.size + 9}`, "bytes=-0"]) {
      const answer = await get(`default/app/blobs/${layer.digest}`, { headers: { range } });
      ociError(answer, 416, "RANGE_INVALID");
      assert.equal(answer.headers.get("content-range"), `bytes */${layer.size}`, range);
    }
  });

  test("several ranges, other units and a range for other content are answered with the whole", async () => {
    for (const headers of [
      { range: "bytes=0-1,5-6" },
      { range: "lines=0-1" },
      { range: "bytes=0-1", "if-range": '"sha256:other"' },
    ]) {
      const response = await farm.fetch(`/v2/default/app/blobs/${layer.digest}`, { headers });
      const bytes = Buffer.from(await response.arrayBuffer());
      assert.deepEqual([response.status, bytes.byteLength], [200, layer.size], JSON.stringify(headers));
    }
  });

  test("two hundred ranges at once are all right", async () => {
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const start = (i * 7919) % (layer.size - 2_000);
        const bytes = await blob(layer.digest, { range: `bytes=${start}-${start + 1_499}` });
        return bytes.equals(layer.bytes.subarray(start, start + 1_500));
      }),
    );
    assert.ok(answers.every(Boolean));
  });
});

describe("tags", () => {
  test("are listed in order, page by page, with a Link to the next one", async () => {
    for (let i = 2; i <= 5; i++) await publishReady(farm, "tagged", appArchive({ v: `${i}` }));
    const all = await get<{ name: string; tags: string[] }>("default/tagged/tags/list");
    assert.deepEqual(all.body, { name: "default/tagged", tags: ["current", "v1", "v2", "v3", "v4"] });
    const pages: string[][] = [];
    let path: string | undefined = "default/tagged/tags/list?n=2";
    while (path !== undefined) {
      const page: Answer<{ tags: string[] }> = await get(path);
      pages.push(page.body.tags);
      path = /^<\/v2\/([^>]+)>; rel="next"$/.exec(page.headers.get("link") ?? "")?.[1];
    }
    assert.deepEqual(pages, [["current", "v1"], ["v2", "v3"], ["v4"]]);
    const behind = await get<{ tags: string[] }>("default/tagged/tags/list?last=v3");
    assert.deepEqual(behind.body.tags, ["v4"]);
    const none = await get<{ tags: string[] }>("default/tagged/tags/list?n=0");
    assert.deepEqual([none.status, none.body.tags, none.headers.get("link")], [200, [], null]);
  });
});

test("the catalog lists the repositories of the token's org, page by page", async () => {
  const all = await get<{ repositories: string[] }>("_catalog");
  assert.ok(all.body.repositories.length > 1 && all.body.repositories.includes("default/app"), all.text);
  const pages: string[] = [];
  let path: string | undefined = "_catalog?n=1";
  while (path !== undefined) {
    const page: Answer<{ repositories: string[] }> = await get(path);
    assert.ok(page.body.repositories.length <= 1);
    pages.push(...page.body.repositories);
    path = /^<\/v2\/([^>]+)>; rel="next"$/.exec(page.headers.get("link") ?? "")?.[1];
  }
  assert.deepEqual(pages, all.body.repositories);
  const { token } = await makeToken(farm, "neighbours", ["read"]);
  assert.deepEqual((await get("_catalog", { token })).body, { repositories: [] });
  const blind = await makeToken(farm, "default", ["publish"]);
  ociError(await get("_catalog", { token: blind.token }), 403, "DENIED");
});

test("an image has no referrers, in the form that clients look for signatures in", async () => {
  const answer = await get<{ manifests: unknown[] }>(`default/app/referrers/${release.image_digest}`);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers.get("content-type"), "application/vnd.oci.image.index.v1+json");
  assert.deepEqual(answer.body.manifests, []);
  ociError(await get("default/app/referrers/v1"), 400, "DIGEST_INVALID");
  ociError(await get(`default/missing/referrers/${release.image_digest}`), 404, "NAME_UNKNOWN");
});

describe("what is refused", () => {
  const unknown = `sha256:${"0".repeat(64)}`;

  test("unknown digests, tags and repositories have OCI's codes", async () => {
    ociError(await get(`default/app/blobs/${unknown}`), 404, "BLOB_UNKNOWN");
    ociError(await get(`default/app/manifests/${unknown}`), 404, "MANIFEST_UNKNOWN");
    ociError(await get("default/app/manifests/v99"), 404, "MANIFEST_UNKNOWN");
    ociError(await get("default/app/manifests/..%2F..%2Fetc"), 405, "UNSUPPORTED");
    ociError(await get("default/missing/manifests/v1"), 404, "NAME_UNKNOWN");
    ociError(await get("default/missing/tags/list"), 404, "NAME_UNKNOWN");
    ociError(await get("UPPER/case/manifests/v1"), 404, "NAME_UNKNOWN");
    ociError(await get("alone/manifests/v1"), 404, "NAME_UNKNOWN");
    ociError(await get("default/app/deeper/manifests/v1"), 404, "NAME_UNKNOWN");
    ociError(await get("default/app/blobs/sha256:short"), 400, "DIGEST_INVALID");
    const head = await get(`default/app/blobs/${unknown}`, { method: "HEAD" });
    assert.deepEqual([head.status, head.text], [404, ""]);
  });

  test("a layer is no manifest, and a manifest no layer of another name", async () => {
    ociError(await get(`default/app/manifests/${layer.digest}`), 404, "MANIFEST_UNKNOWN");
  });

  test("a digest is served only in a repository that references it", async () => {
    const other = await publishReady(farm, "neighbour", appArchive({ own: "neighbour" }));
    for (const digest of [other.image_digest, other.layers[0]?.digest, other.tree]) {
      ociError(await get(`default/app/blobs/${digest}`), 404, "BLOB_UNKNOWN");
      ociError(await get(`default/app/manifests/${digest}`), 404, "MANIFEST_UNKNOWN");
    }
    ociError(await get(`default/app/blobs/${release.tree}`), 404, "BLOB_UNKNOWN");
  });

  test("a project that is set to public_pull is pulled without a token, and nothing else is", async () => {
    await publishReady(farm, "open", appArchive({ a: "1" }));
    const ask = async (path: string, init: RequestInit = {}) =>
      (await fetch(`${farm.url}${path}`, { redirect: "manual", ...init })).status;
    const manifest = "/v2/default/open/manifests/current";
    assert.equal(await ask(manifest), 401);
    const set = (open: boolean) =>
      send(farm, "/v1/orgs/default/projects/open/settings", { method: "PUT", json: { public_pull: open } });
    assert.equal((await set(true)).status, 200);
    const { layers } = (await (await fetch(`${farm.url}${manifest}`)).json()) as Manifest;
    const blobs = "/v2/default/open/blobs";
    assert.equal(await ask(`${blobs}/${layers[0]?.digest}`), 200);
    assert.equal(await ask("/v2/default/open/tags/list"), 200);
    const basic = `Basic ${Buffer.from(":").toString("base64")}`;
    assert.equal(await ask(manifest, { headers: { authorization: basic } }), 200, "what skopeo sends");
    assert.equal(await ask(`${blobs}/${layer.digest}`), 404, "what another project has");
    for (const path of [
      "/v2/",
      "/v2/_catalog",
      "/v2/default/app/tags/list",
      "/v1/orgs/default/projects/open",
    ])
      assert.equal(await ask(path), 401, path);
    assert.equal(await ask(`${blobs}/uploads/`, { method: "POST" }), 401);
    assert.equal((await set(false)).status, 200);
    assert.equal(await ask(manifest), 401);
  });

  test("without a token it is 401 with a challenge, and with a wrong one too", async () => {
    for (const authorization of ["", "Bearer nonsense", `Basic ${Buffer.from("u:p").toString("base64")}`]) {
      const response = await fetch(`${farm.url}/v2/`, { headers: authorization ? { authorization } : {} });
      const body = (await response.json()) as OciErrors;
      assert.deepEqual([response.status, body.errors[0]?.code], [401, "UNAUTHORIZED"]);
      assert.match(response.headers.get("www-authenticate") ?? "", /^Basic realm=/);
    }
    const basic = Buffer.from(`anybody:${farm.token}`).toString("base64");
    const response = await fetch(`${farm.url}/v2/`, { headers: { authorization: `Basic ${basic}` } });
    assert.equal(response.status, 200, "any user name, the token as password");
  });

  test("a token of another org gets the answer that it would get for something that is not there", async () => {
    const { token } = await makeToken(farm, "stranger", ["admin"]);
    for (const path of [
      `manifests/v1`,
      `manifests/${release.image_digest}`,
      `blobs/${layer.digest}`,
      "tags/list",
    ]) {
      const foreign = await get(`default/app/${path}`, { token });
      const absent = await get(`default/zzz/${path}`, { token });
      ociError(foreign, 404, "NAME_UNKNOWN");
      assert.equal(foreign.text.replaceAll("default/app", "default/zzz"), absent.text);
    }
  });

  test("pushing is refused, and nothing hangs", async () => {
    for (const [method, path] of [
      ["POST", "blobs/uploads/"],
      ["PUT", "manifests/v9"],
      ["DELETE", "manifests/v1"],
    ] as const) {
      const answer = await get(`default/app/${path}`, {
        method,
        ...(method === "DELETE" ? {} : { json: {} }),
      });
      ociError(answer, 405, "UNSUPPORTED");
      assert.equal(answer.headers.get("allow"), "GET, HEAD");
    }
  });
});
