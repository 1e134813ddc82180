import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import type { ReleaseJson } from "../../proto/http.ts";
import type { FsckJson } from "../../proto/http-store.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { natsPid, removeDir, startTestFarm, tempDir } from "../helpers/farm.ts";
import { ended, projectUrl, publish, publishReady } from "../helpers/farm-requests.ts";
import { missing } from "../helpers/run-program.ts";
import { failSyncs, type TracedCall, traceCalls } from "../helpers/trace-calls.ts";

/**
 * What design.md promises about the order of one publish, seen in the system calls of the farm and its nats-server:
 *
 * - "stream the body into the store's inbox -> durable, under a lease", "`accept` command -> PubAck -> applied -> 202": before the
 *   answer is written, the upload's bytes, its name and its lease are on the disk, and so is the command.
 * - "content durable -> index -> release -> ack": the pack before the index that names it, both before the `ready` command, that
 *   one before the queue may forget the job.
 */
const folder = tempDir("syncs");
after(() => removeDir(folder));

interface Step {
  readonly what: string;
  readonly call: RegExp;
  readonly on: RegExp;
}

const INDEX = /\/store\/index\/index\.mdb>/;
const COMMANDS = /\/streams\/GRANARY_COMMANDS\/msgs\/[0-9]+\.blk>/;
const STATE = /\/state\/state\.mdb>/;
/** LMDB writes its meta page last, through a descriptor of its own that syncs by itself. */
const META_BYTES = 128;

function acceptSteps(id: string): Step[] {
  return [
    { what: "the upload's bytes are synced", call: /^f(data)?sync$/, on: new RegExp(`/inbox/${id}`) },
    { what: "the upload gets its name", call: /^rename/, on: new RegExp(`/inbox/${id}"`) },
    { what: "its folder is synced", call: /^fsync$/, on: /\/store\/inbox>/ },
    { what: "the index with its lease is synced", call: /^fdatasync$/, on: INDEX },
    { what: "the index's meta page is written", call: /^pwrite64$/, on: metaOf(INDEX) },
    { what: "the command is sent", call: /^write/, on: /HPUB granary\.commands\./ },
    { what: "the command is written to the log", call: /^pwrite64$/, on: COMMANDS },
    { what: "the log is synced", call: /^fsync$/, on: COMMANDS },
    { what: "the state that applied it is synced", call: /^fdatasync$/, on: STATE },
    { what: "the answer is written", call: /^(write|sendto|sendmsg)/, on: /HTTP\/1\.1 202/ },
  ];
}

const READY_STEPS: readonly Step[] = [
  { what: "the new content is written", call: /^pwrite64$/, on: /\/store\/packs\/[0-9]+\.pack>/ },
  { what: "the pack is synced", call: /^fdatasync$/, on: /\/store\/packs\/[0-9]+\.pack>/ },
  { what: "the index that names it is synced", call: /^fdatasync$/, on: INDEX },
  { what: "the index's meta page is written", call: /^pwrite64$/, on: metaOf(INDEX) },
  { what: "`ready` is sent", call: /^write/, on: /HPUB granary\.commands\./ },
  { what: "`ready` is written to the log", call: /^pwrite64$/, on: COMMANDS },
  { what: "the log is synced", call: /^fsync$/, on: COMMANDS },
  { what: "the state with the release is synced", call: /^fdatasync$/, on: STATE },
  { what: "the job is acknowledged", call: /^write/, on: /PUB \$JS\.ACK\.GRANARY_JOBS_PUBLISH/ },
];

function metaOf(file: RegExp): RegExp {
  return new RegExp(`${file.source}.*, ${META_BYTES}, [0-9]+\\) = ${META_BYTES}$`);
}

test("the 202 is written after upload, lease and command are durable, and the job ends after its content and release are", {
  skip: process.platform === "linux" ? missing("strace") : "system calls are traced on Linux only",
}, async (t) => {
  const farm = await startTestFarm({ data: join(folder, "data") });
  await publishReady(farm, "traced", appArchive({ warm: "up" }));
  const trace = await traceCalls([farm.pid, natsPid(farm.data)], join(folder, "trace"));
  if (typeof trace === "string") {
    t.skip(trace);
    await farm.stop();
    return;
  }
  const answer = await publish(farm, "traced", appArchive({ content: "traced" }));
  assert.equal(answer.status, 202, answer.text);
  const id = answer.body.publish_id;
  assert.equal((await ended(farm, id)).state, "ready");
  // The acknowledgement follows the end that a client sees.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const calls = await trace.stop();

  const accepted = follow(calls, acceptSteps(id));
  // The job may be under way before the answer is written: its steps are counted from the accepted command.
  const applied = accepted.at(-2);
  assert.ok(applied !== undefined);
  follow(
    calls.filter((call) => call.begin > applied.end),
    READY_STEPS,
  );
  assert.ok(syncsByItself(farm.pid, accepted[4]), "the index's meta page is written through O_DSYNC");
  const syncs = calls.filter((call) => /^f(data)?sync$/.test(call.name)).length;
  t.diagnostic(
    `${calls.length} calls traced, ${syncs} of them syncs, in ${acceptSteps(id).length + READY_STEPS.length} steps`,
  );
  assert.equal(await farm.stop(), 0);
});

test("a sync that fails ends the process with what failed and the store's exit code, and the next start has all that was acknowledged", {
  skip: process.platform === "linux" ? missing("strace") : "system calls are changed on Linux only",
}, async (t) => {
  const data = join(folder, "failing");
  let farm = await startTestFarm({ data });
  const first = await publishReady(farm, "kept", appArchive({ content: "acknowledged" }));
  const failing = await failSyncs(farm.pid, join(folder, "failing.trace"));
  if (typeof failing === "string") {
    t.skip(failing);
    await farm.stop();
    return;
  }
  const gone = once(farm.process, "exit");
  const refused = await publish(farm, "kept", appArchive({ content: "not synced" })).catch(() => undefined);
  assert.ok(refused === undefined || refused.status >= 500, refused?.text);
  const [code] = (await gone) as [number | null];
  failing.stop();
  assert.equal(code, 3, farm.log().slice(-2_000));
  // Which sync it was: one of the files, or one of LMDB, which says it in its own words.
  assert.match(farm.log(), /(EIO|Input\/output error).*a part failed for good/);

  farm = await startTestFarm({ data });
  const shown = await farm.json<ReleaseJson>(`${projectUrl("kept")}/releases/v1`);
  assert.equal(shown.image_digest, first.image_digest);
  const again = await publishReady(farm, "kept", appArchive({ content: "not synced" }));
  assert.equal(again.version, "v2");
  const fsck = await farm.json<FsckJson>("/v1/store:fsck", { method: "POST" });
  assert.deepEqual([fsck.corrupt, fsck.missing, fsck.orphaned], [0, 0, 0]);
  assert.equal(await farm.stop(), 0);
});

/** Finds each step done before the next begins. @returns the calls @throws when one is missing or comes too early */
function follow(calls: readonly TracedCall[], steps: readonly Step[]): TracedCall[] {
  const found: TracedCall[] = [];
  for (const { what, call, on } of steps) {
    const after = found.at(-1)?.end ?? -1;
    const next = calls.find((one) => one.begin > after && call.test(one.name) && on.test(one.text));
    assert.ok(next !== undefined, `${what}: not after "${steps[found.length - 1]?.what}"\n${summary(calls)}`);
    assert.doesNotMatch(next.text, / = -1 /, what);
    found.push(next);
  }
  return found;
}

function summary(calls: readonly TracedCall[]): string {
  return calls.map(({ name, text }) => `${name}(${text.slice(0, 160)}`).join("\n");
}

/** proc(5): `flags` of an open file, octal, with O_DSYNC (010000). */
function syncsByItself(pid: number, call: TracedCall | undefined): boolean {
  const fd = /^([0-9]+)</.exec(call?.text ?? "")?.[1];
  const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8"))?.[1];
  return (Number.parseInt(flags ?? "0", 8) & 0o10000) !== 0;
}
