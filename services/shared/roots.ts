import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdir, readdir, readlink, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, digestHex } from "../../proto/digest.ts";
import { GranaryError } from "../../proto/errors.ts";
import { isName, type Name } from "../../proto/names.ts";
import type { ArtifactRecord } from "../../proto/records.ts";
import { type MaterializeResult, TASK_CELL } from "../../proto/worker-tasks.ts";
import type { WorkerPool } from "../../workers/pool.ts";

/** A thread that hangs on a file system that hangs. */
const STALL_MS = 30_000;
const DEADLINE_MS = 600_000;
const STAGING = ".staging";

interface Materializable {
  readonly org: Name;
  readonly project: Name;
  readonly tree: ArtifactRecord["tree"];
  /** Absent for a preview: only versions get a name. */
  readonly version?: string;
}

/**
 * Releases as folders on this node (ruling 9): `roots/<org>/<project>/<tree>`, and `vN` as a symlink to it, made after the root is
 * whole. Unchanged files of one project's roots are one inode; projects and orgs share none. All of it can be made again.
 */
export class Roots {
  readonly #dir: string;
  readonly #pool: Pick<WorkerPool, "run">;
  readonly #boot = bootId();
  readonly #running = new Map<string, Promise<MaterializeResult>>();

  constructor(options: { dir: string; pool: Pick<WorkerPool, "run"> }) {
    this.#dir = options.dir;
    this.#pool = options.pool;
  }

  /** Answers where the root is; makes it when it is not there. @throws GranaryError STORE_*, UNAVAILABLE */
  async materialize(of: Materializable, signal: AbortSignal): Promise<MaterializeResult> {
    const projectDir = join(this.#dir, of.org, of.project);
    const key = join(projectDir, digestHex(of.tree));
    let running = this.#running.get(key);
    if (running === undefined) {
      running = this.#run(of.tree, projectDir, signal).finally(() => this.#running.delete(key));
      this.#running.set(key, running);
    }
    const result = await running;
    if (of.version !== undefined) await name(projectDir, of.version, digestHex(of.tree));
    return result;
  }

  /** Removes what an interrupted run left, and the roots of trees that `keep` does not name. */
  async sweep(keep: (org: Name, project: Name) => ReadonlySet<Digest>): Promise<number> {
    if (this.#running.size === 0) await rm(join(this.#dir, STAGING), { recursive: true, force: true });
    let removed = 0;
    for (const org of await namesIn(this.#dir)) {
      for (const project of await namesIn(join(this.#dir, org))) {
        const kept = new Set([...keep(org, project)].map(digestHex));
        removed += await this.#sweepProject(join(this.#dir, org, project), kept);
      }
    }
    return removed;
  }

  async #sweepProject(projectDir: string, kept: ReadonlySet<string>): Promise<number> {
    let removed = 0;
    for (const entry of await readdir(projectDir)) {
      const root = /^([0-9a-f]{64})$/.exec(entry)?.[1];
      if (root === undefined || kept.has(root) || this.#running.has(join(projectDir, root))) continue;
      await rm(join(projectDir, `${root}.json`), { force: true });
      const doomed = join(this.#dir, STAGING, randomUUID());
      await mkdir(join(this.#dir, STAGING), { recursive: true });
      await rename(join(projectDir, root), doomed);
      await rm(doomed, { recursive: true, force: true });
      removed += 1;
    }
    if (removed > 0) await dropDanglingNames(projectDir);
    return removed;
  }

  async #run(tree: Digest, projectDir: string, signal: AbortSignal): Promise<MaterializeResult> {
    const outcome = await this.#pool.run(
      "materialize",
      {
        tree,
        projectDir,
        stagingDir: join(this.#dir, STAGING),
        boot: this.#boot,
        cell: new SharedArrayBuffer(TASK_CELL.length * Float64Array.BYTES_PER_ELEMENT),
      },
      { signal, stallMs: STALL_MS, deadlineMs: DEADLINE_MS },
    );
    if (!outcome.ok) throw GranaryError.fromWire(outcome.error);
    return outcome.value;
  }
}

/** `vN -> <tree>`, replaced in one step. */
async function name(projectDir: string, version: string, target: string): Promise<void> {
  const fresh = join(projectDir, `.${randomUUID()}`);
  await symlink(target, fresh);
  await rename(fresh, join(projectDir, version));
}

async function dropDanglingNames(projectDir: string): Promise<void> {
  const entries = await readdir(projectDir, { withFileTypes: true });
  const roots = new Set(entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name));
  for (const entry of entries) {
    if (!entry.isSymbolicLink()) continue;
    const path = join(projectDir, entry.name);
    if (!roots.has(await readlink(path))) await rm(path, { force: true });
  }
}

async function namesIn(dir: string): Promise<Name[]> {
  const entries: string[] = await readdir(dir).catch(() => []);
  return entries.filter((entry): entry is Name => isName(entry));
}

/** Changes with every start of the machine; of this process where the system does not tell. */
function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return randomUUID();
  }
}
