import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, writeFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { Problem } from "../../proto/http.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { eventually, removeDir, startTestFarm, type TestFarm, tempDir } from "../helpers/farm.ts";
import { problemOf, projectUrl, publish, publishReady, send, storeStat } from "../helpers/farm-requests.ts";
import { noise } from "../helpers/hostile-sizes.ts";
import { rawConnection, rawRequest, readAnswer } from "../helpers/raw-http.ts";

const UPLOAD_LIMIT = 300_000;
const folder = tempDir("uploads");
let farm: TestFarm;

before(async () => {
  const config = join(folder, "farm.toml");
  writeFileSync(
    config,
    `[limits]\nupload_bytes = ${UPLOAD_LIMIT}\nexpanded_bytes = 1_000_000\nfile_bytes = 500_000\nentries = 50\ngzip_members = 3\n`,
  );
  farm = await startTestFarm({ data: join(folder, "data"), args: ["--config", config] });
});
after(async () => {
  assert.equal(await farm.stop(), 0);
  assert.ok(!farm.log().includes('"level":50'), "a client that goes away is no error of the farm's");
  removeDir(folder);
});

function inbox(): string[] {
  return readdirSync(join(farm.data, "store", "inbox"));
}

/** Nothing of a broken upload stays; its removal may follow the answer. */
async function inboxIsEmpty(): Promise<void> {
  const isEmpty = async (): Promise<true | undefined> =>
    inbox().length === 0 && (await storeStat(farm)).inbox_bytes === 0 ? true : undefined;
  await eventually(isEmpty, 5_000, `the inbox is empty: ${inbox()}`);
}

function head(headers: readonly string[], project = "raw"): string {
  return [
    `POST ${projectUrl(project)}/publishes HTTP/1.1`,
    "Host: farm",
    `Authorization: Bearer ${farm.token}`,
    "Content-Type: application/gzip",
    ...headers,
    "",
    "",
  ].join("\r\n");
}

describe("the limits that an operator sets", () => {
  test("are told by /v1/limits", async () => {
    const { archive } = await farm.json<{ archive: Record<string, number> }>("/v1/limits");
    assert.deepEqual(
      [archive["upload_bytes"], archive["expanded_bytes"], archive["file_bytes"], archive["entries"]],
      [UPLOAD_LIMIT, 1_000_000, 500_000, 50],
    );
    const members = Buffer.concat(Array.from({ length: 3 }, () => gzipSync("")));
    const bytes = Buffer.concat([members, appArchive({ a: "1" })]);
    problemOf(
      await publish(farm, "limits", bytes, { waitSeconds: 30 }),
      422,
      "ARCHIVE_TOO_MANY_GZIP_MEMBERS",
    );
  });

  test("a body whose announced length is beyond the limit is refused before it is read", async () => {
    const answer = await rawRequest(farm.url, head([`Content-Length: ${UPLOAD_LIMIT + 1}`]));
    assert.equal(answer.status, 413, answer.head);
    const problem = JSON.parse(answer.body) as Problem;
    assert.equal(problem.code, "ARCHIVE_UPLOAD_TOO_LARGE");
    assert.deepEqual(problem.params, { actual: UPLOAD_LIMIT + 1, limit: UPLOAD_LIMIT });
    assert.ok(answer.ms < 2_000, `${answer.ms} ms`);
  });

  test("a client that closes behind its request gets the answer that comes before its body was read, too", async () => {
    const publishes = `${projectUrl("closing")}/publishes`;
    for (const [size, token, status, path] of [
      [8_000_000, "gr_none", 401, publishes],
      [UPLOAD_LIMIT + 8_000_000, farm.token, 413, publishes],
      [8_000_000, farm.token, 405, "/v2/default/closing/blobs/uploads/"],
    ] as const) {
      const sent = request(`${farm.url}${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, connection: "close", "content-length": size },
      });
      sent.end(Buffer.alloc(size));
      const [answer] = (await once(sent, "response")) as [IncomingMessage];
      assert.equal(answer.statusCode, status);
      assert.ok((await text(answer)).startsWith("{"));
    }
  });

  test("a client that asks with Expect is refused without a 100 Continue", async () => {
    const answer = await rawRequest(
      farm.url,
      head([`Content-Length: ${UPLOAD_LIMIT + 1}`, "Expect: 100-continue"]),
    );
    assert.equal(answer.status, 413, answer.head);
    assert.match(answer.head, /connection: close/i);
  });

  test("a chunked body is cut off when it passes the limit, and the client gets the answer", async () => {
    const piece = noise(50_000);
    piece.set([0x1f, 0x8b]);
    const chunk = Buffer.concat([Buffer.from(`${(50_000).toString(16)}\r\n`), piece, Buffer.from("\r\n")]);
    const answer = await rawRequest(farm.url, [
      head(["Transfer-Encoding: chunked"]),
      ...Array.from({ length: 40 }, () => chunk),
    ]);
    assert.equal(answer.status, 413, answer.head);
    assert.equal((JSON.parse(answer.body) as Problem).code, "ARCHIVE_UPLOAD_TOO_LARGE");
    await inboxIsEmpty();
  });

  test("expanded size, file size and entries are refused with the member, the actual value and the limit", async () => {
    const long = (bytes: number): string => noise(bytes / 2).toString("hex");
    const file = await publish(farm, "limits", appArchive({ "big.bin": long(500_002) }), { waitSeconds: 30 });
    const one = problemOf(file, 413, "ARCHIVE_FILE_TOO_LARGE");
    assert.deepEqual(
      [one.params["path"], one.params["actual"], one.params["limit"]],
      ["big.bin", 500_002, 500_000],
    );
    const sum = await publish(
      farm,
      "limits",
      appArchive({ a: "0123456789".repeat(40_000), b: "abcdefghij".repeat(40_000), c: "x".repeat(400_000) }),
      { waitSeconds: 30 },
    );
    assert.equal(problemOf(sum, 413, "ARCHIVE_TOO_LARGE").params["limit"], 1_000_000);
    const names = Array.from({ length: 51 }, (_, i) => [`f${i}`, ""]);
    const many = await publish(farm, "limits", appArchive(Object.fromEntries(names)), { waitSeconds: 30 });
    const three = problemOf(many, 413, "ARCHIVE_TOO_MANY_ENTRIES");
    assert.deepEqual([three.params["actual"], three.params["limit"]], [51, 50]);
    await inboxIsEmpty();
  });
});

describe("an upload that does not end well", () => {
  const archive = appArchive({ noise: noise(60_000).toString("hex") });
  const large = appArchive({ noise: noise(130_000).toString("hex") });

  for (const percent of [1, 70, 99]) {
    test(`cut off after ${percent} % leaves nothing`, async () => {
      const socket = await rawConnection(farm.url);
      socket.write(head([`Content-Length: ${large.byteLength}`], "aborted"));
      socket.write(large.subarray(0, Math.ceil((large.byteLength * percent) / 100)));
      // Less than 64 KiB is not in the inbox before it is whole.
      if (percent > 1)
        await eventually(() => (inbox().length > 0 ? true : undefined), 5_000, "the upload has begun");
      socket.destroy();
      await inboxIsEmpty();
      problemOf(await send(farm, projectUrl("aborted")), 404, "NOT_FOUND");
    });
  }

  test("a body shorter than its Content-Length is no publish, also when the client says that it is done", async () => {
    const socket = await rawConnection(farm.url);
    socket.write(head([`Content-Length: ${archive.byteLength + 10}`], "short"));
    socket.end(archive);
    await readAnswer(socket, 5_000);
    await inboxIsEmpty();
    problemOf(await send(farm, projectUrl("short")), 404, "NOT_FOUND");
  });

  test("bytes behind the Content-Length are not part of the archive, and no request either", async () => {
    const socket = await rawConnection(farm.url);
    socket.write(head([`Content-Length: ${archive.byteLength}`], "surplus"));
    socket.write(archive);
    socket.write("surplus bytes\r\n\r\n");
    assert.match(await readAnswer(socket, 10_000), /^HTTP\/1\.1 202/);
    socket.destroy();
    const { items } = await farm.json<{ items: { upload: { size: number } }[] }>(
      `${projectUrl("surplus")}/publishes`,
    );
    assert.deepEqual(
      items.map((item) => item.upload.size),
      [archive.byteLength],
    );
  });

  test("a broken chunk is refused, and nothing stays", async () => {
    const answer = await rawRequest(farm.url, [
      head(["Transfer-Encoding: chunked"], "chunks"),
      "5\r\n\x1f\x8b\x08\x00\x00\r\n",
      "zz\r\njunk\r\n",
    ]);
    assert.equal(answer.status, 400, answer.head);
    await inboxIsEmpty();
  });

  test("twenty large bodies that are no archives are answered, and the farm stays up", async () => {
    const junk = Buffer.alloc(UPLOAD_LIMIT - 1, 0x41);
    const answers = await Promise.all(Array.from({ length: 20 }, () => publish(farm, "junk", junk)));
    for (const answer of answers) problemOf(answer, 415, "ARCHIVE_NOT_GZIP");
    // What is left of a body is read for 5 s at most: the farm has to survive that, too.
    await new Promise((resolve) => setTimeout(resolve, 5_500));
    await inboxIsEmpty();
    await publishReady(farm, "junk", archive);
  });

  test("an empty body is an empty archive", async () => {
    problemOf(await publish(farm, "empty", new Uint8Array(0)), 422, "ARCHIVE_EMPTY");
    await inboxIsEmpty();
  });
});
