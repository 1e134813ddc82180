import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, rmSync, symlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { CurrentJson, PublishJson } from "../../proto/http.ts";
import type { FsckJson } from "../../proto/http-store.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { eventually, startTestFarm, type TestFarm } from "../helpers/farm.ts";
import { projectUrl, publish, publishReady, send } from "../helpers/farm-requests.ts";
import { type PowerCutDisk, withPowerCutDisk } from "../helpers/power-cut-disk.ts";
import { tempFolder } from "../helpers/temp-folder.ts";
import { waitUntil } from "../helpers/wait-until.ts";

/** A whole farm on a disk that fails, or that somebody else fills, while clients publish and activate. Needs root. */
const DISK_MIB = 256;
const CLIENTS = 4;

/** What clients were told, until they are told to stop. */
class Clients {
  readonly generations: number[] = [];
  readonly publishes: string[] = [];
  readonly refusals = new Set<string>();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>[];

  constructor(farm: TestFarm, { publishing }: { publishing: boolean }) {
    this.#running = Array.from({ length: CLIENTS }, (_, i) =>
      this.#repeat(async () => {
        const json = { version: 1 + ((this.generations.length + i) % 2) };
        const answer = await send<CurrentJson>(farm, `${projectUrl("bot")}/activations`, { json });
        if (answer.status === 200) this.generations.push(answer.body.generation);
        else this.#refused(answer);
      }),
    );
    if (publishing)
      this.#running.push(
        this.#repeat(async () => {
          const answer = await publish<PublishJson>(
            farm,
            "own",
            appArchive({ own: randomBytes(20_000).toString("hex") }),
          );
          if (answer.status === 202) this.publishes.push(answer.body.publish_id);
          else this.#refused(answer);
        }),
      );
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
  }

  #refused(answer: { status: number; body: unknown }): void {
    this.refusals.add(`${answer.status} ${(answer.body as { code?: string } | undefined)?.code}`);
  }

  async #repeat(request: () => Promise<void>): Promise<void> {
    while (!this.#stop.signal.aborted) {
      // A farm that has ended answers nobody.
      await request().catch(() => sleep(50));
      await sleep(5);
    }
  }
}

/** A data folder on the disk, or one of which only the log is there. */
function dataOn(disk: PowerCutDisk, { logOnly }: { logOnly: boolean }): string {
  if (!logOnly) return join(disk.folder, "data");
  const data = join(tempFolder(), "data");
  for (const dir of [data, join(disk.folder, "nats")]) mkdirSync(dir);
  symlinkSync(join(disk.folder, "nats"), join(data, "nats"));
  return data;
}

async function assertKept(farm: TestFarm, clients: Clients): Promise<void> {
  const current = await farm.json<CurrentJson>(`${projectUrl("bot")}/current`);
  assert.ok(current.generation >= Math.max(0, ...clients.generations), "an acknowledged activation is gone");
  for (const id of clients.publishes)
    await eventually(
      async () =>
        (await farm.json<PublishJson>(`/v1/publishes/${id}`)).state === "ready" ? true : undefined,
      30_000,
      `the end of ${id}`,
    );
  const fsck = await farm.json<FsckJson>("/v1/store:fsck", { method: "POST" });
  assert.deepEqual([fsck.corrupt, fsck.missing, fsck.broken_rows], [0, 0, 0]);
}

const FAILURES = [
  { what: "fails", how: "cut", logOnly: false, publishing: false },
  { what: "fails", how: "cut", logOnly: false, publishing: true },
  { what: "for the log fails", how: "cut", logOnly: true, publishing: false },
  { what: "becomes read-only", how: "makeReadOnly", logOnly: false, publishing: false },
  { what: "becomes read-only", how: "makeReadOnly", logOnly: false, publishing: true },
] as const;

for (const { what, how, logOnly, publishing } of FAILURES)
  test(`a farm whose disk ${what} while clients activate${publishing ? " and publish" : ""} ends with exit code 3, and starts with all that it acknowledged`, {
    timeout: 180_000,
  }, async (t) => {
    await withPowerCutDisk(t, DISK_MIB, async (disk) => {
      const data = dataOn(disk, { logOnly });
      const farm = await startTestFarm({ data });
      for (const a of ["1", "2"]) await publishReady(farm, "bot", appArchive({ a }));
      const clients = new Clients(farm, { publishing });
      await sleep(1_500);
      disk[how]();
      const ended = (): boolean => farm.process.exitCode !== null || farm.process.signalCode !== null;
      await waitUntil("the farm has ended", 60_000, ended).catch(() => assert.fail(farm.log().slice(-4_000)));
      await clients.stop();
      assert.equal(farm.process.exitCode, 3, farm.log().slice(-3_000));
      t.diagnostic(`${clients.generations.length} activations, ${clients.publishes.length} publishes`);
      assert.ok(clients.generations.length > 0);
      disk.restore();
      const again = await startTestFarm({ data });
      await assertKept(again, clients);
      assert.equal(await again.stop(), 0);
    });
  });

test("a farm whose disk is filled up by others again and again refuses with STORE_FULL, loses nothing, and goes on by itself", {
  timeout: 180_000,
}, async (t) => {
  await withPowerCutDisk(t, DISK_MIB, async (disk) => {
    const farm = await startTestFarm({ data: dataOn(disk, { logOnly: false }) });
    for (const a of ["1", "2"]) await publishReady(farm, "bot", appArchive({ a }));
    const clients = new Clients(farm, { publishing: true });
    for (let round = 0; round < 4; round++) {
      await sleep(1_000);
      const filler = join(disk.folder, "filler");
      fill(filler);
      await sleep(1_500);
      assert.equal((await send(farm, `${projectUrl("bot")}/current`)).status, 200);
      rmSync(filler);
      const before = clients.generations.length;
      await eventually(
        async () => (clients.generations.length > before ? true : undefined),
        60_000,
        "commands again",
      );
    }
    await clients.stop();
    t.diagnostic([...clients.refusals].join(", "));
    assert.ok(clients.refusals.has("507 STORE_FULL"));
    for (const refusal of clients.refusals)
      assert.match(refusal, /^(507 STORE_FULL|503 UNAVAILABLE|504 OUTCOME_UNKNOWN)$/);
    await assertKept(farm, clients);
    assert.equal(await farm.stop(), 0);
  });
});

/** To the last block, while others write as well. */
function fill(path: string): void {
  const fd = openSync(path, "w");
  try {
    for (const bytes of [1024 * 1024, 4_096, 512])
      try {
        for (;;) writeSync(fd, Buffer.alloc(bytes));
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
      }
  } finally {
    closeSync(fd);
  }
}
