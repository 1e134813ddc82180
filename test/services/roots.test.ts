import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import {
  existsSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { digestHex, digestOf } from "../../proto/digest.ts";
import type { Name } from "../../proto/names.ts";
import type { MaterializeResult, MaterializeTask } from "../../proto/worker-tasks.ts";
import { Roots } from "../../services/shared/roots.ts";
import type { WorkerPool } from "../../workers/pool.ts";
import { tempDir } from "../helpers/farm.ts";

const org = "acme" as Name;
const project = "app" as Name;
const tree = digestOf("a tree");
const OTHER = digestOf("another tree");

/** A pool whose thread writes a root with `steps` turns of the event loop between its files. */
function slowPool(steps: number): Pick<WorkerPool, "run"> {
  const run = async (_name: string, task: MaterializeTask): Promise<unknown> => {
    const staging = join(task.stagingDir, "in-the-making");
    mkdirSync(staging, { recursive: true });
    mkdirSync(task.projectDir, { recursive: true });
    for (let step = 0; step < steps; step++) {
      writeFileSync(join(staging, `${step}`), "");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const path = join(task.projectDir, digestHex(task.tree));
    // Not checked here, because a thread does not either: whoever takes files out of staging damages the root.
    renameSync(staging, path);
    writeFileSync(`${path}.json`, "{}");
    const value: MaterializeResult = {
      path,
      existing: false,
      files: steps,
      linked: 0,
      written: steps,
      writtenBytes: 0,
    };
    return { ok: true, value };
  };
  return { run: run as WorkerPool["run"] };
}

test("a root that is made while a sweep clears what an interrupted run left keeps all its files", async () => {
  const dir = tempDir("roots");
  for (let n = 0; n < 500; n++) mkdirSync(join(dir, ".staging", `left-${n}`), { recursive: true });
  const steps = 50;
  const roots = new Roots({ dir, pool: slowPool(steps) });
  const sweeping = roots.sweep(() => new Set());
  const made = await roots.materialize({ org, project, tree, version: "v1" }, new AbortController().signal);
  await sweeping;
  for (let step = 0; step < steps; step++) assert.ok(existsSync(join(made.path, `${step}`)), `file ${step}`);
  assert.ok(!existsSync(join(dir, ".staging", "left-0")));
  rmSync(dir, { recursive: true });
});

test("a sweep takes roots, marks and names of what is not kept", async () => {
  const dir = tempDir("roots");
  const projectDir = join(dir, org, project);
  for (const [version, digest] of [
    ["v1", OTHER],
    ["v2", tree],
  ] as const) {
    mkdirSync(join(projectDir, digestHex(digest)), { recursive: true });
    writeFileSync(join(projectDir, `${digestHex(digest)}.json`), "{}");
    symlinkSync(digestHex(digest), join(projectDir, version));
  }
  const roots = new Roots({ dir, pool: slowPool(1) });
  assert.equal(await roots.sweep(() => new Set([tree])), 1);
  assert.ok(!existsSync(join(projectDir, digestHex(OTHER))));
  assert.ok(!existsSync(join(projectDir, `${digestHex(OTHER)}.json`)));
  assert.equal(lstatSync(join(projectDir, "v1"), { throwIfNoEntry: false }), undefined);
  assert.ok(existsSync(join(projectDir, "v2")));
  rmSync(dir, { recursive: true });
});

test("a sweep takes drafts and marks that an earlier process left, and leaves those of this one", async () => {
  const dir = tempDir("roots");
  const projectDir = join(dir, org, project);
  const hex = digestHex(tree);
  mkdirSync(join(projectDir, hex), { recursive: true });
  const left = [`${hex}.json.new`, `${hex}.json.doubted`, `${digestHex(OTHER)}.json`];
  for (const name of [`${hex}.json`, ...left]) {
    writeFileSync(join(projectDir, name), "{}");
    utimesSync(join(projectDir, name), 1_000, 1_000);
  }
  const draft = `.${randomUUID()}`;
  symlinkSync(hex, join(projectDir, draft));
  lutimesSync(join(projectDir, draft), 1_000, 1_000);
  const own = `${digestHex(OTHER)}.json.new`;
  const roots = new Roots({ dir, pool: slowPool(1) });
  writeFileSync(join(projectDir, own), "{}");
  assert.equal(await roots.sweep(() => new Set([tree])), 0);
  assert.deepEqual(readdirSync(projectDir).sort(), [hex, `${hex}.json`, own].sort());
  rmSync(dir, { recursive: true });
});
