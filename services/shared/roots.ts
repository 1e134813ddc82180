import { randomUUID } from "node:crypto";
import {
  type Dirent,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
} from "node:fs";
import { rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type Digest, digestHex } from "../../proto/digest.ts";
import { GranaryError } from "../../proto/errors.ts";
import { isName, type Name } from "../../proto/names.ts";
import type { ArtifactRecord } from "../../proto/records.ts";
import type { MaterializeResult } from "../../proto/worker-tasks.ts";
import type { WorkerPool } from "../../workers/pool.ts";

/** A thread that hangs on a file system that hangs. */
const STALL_MS = 30_000;
const DEADLINE_MS = 600_000;
const STAGING = ".staging";
const ROOT = /^[0-9a-f]{64}$/;
/** Of a mark (materialize-tree.ts, check-roots.ts), and of a version's name. */
const DRAFT = /^(?:[0-9a-f]{64}\.json\.(?:new|doubted)|\.[0-9a-f-]{36})$/;
/** A file system's clock is a tick behind. */
const CLOCK_MS = 1_000;

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
  readonly #startedMs = Date.now();
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

  /**
   * Removes what an interrupted run left, and the roots of trees that `keep` does not name. What is to go is moved away before
   * anything else can happen on this thread, so that a root which is made meanwhile neither loses files nor its name.
   */
  async sweep(keep: (org: Name, project: Name) => ReadonlySet<Digest>): Promise<number> {
    const staging = join(this.#dir, STAGING);
    const doomed = this.#running.size > 0 ? [] : entriesOf(staging).map(({ name }) => join(staging, name));
    let removed = 0;
    for (const { name: org } of entriesOf(this.#dir).filter(({ name }) => isName(name))) {
      for (const { name: project } of entriesOf(join(this.#dir, org))) {
        if (!isName(org) || !isName(project)) continue;
        const moved = this.#moveAway(join(this.#dir, org, project), keep(org, project));
        doomed.push(...moved);
        removed += moved.length;
        await nextTurn();
      }
    }
    for (const path of doomed) await rm(path, { recursive: true, force: true });
    return removed;
  }

  /** Takes roots of a project out of it, with their marks and names. @returns where they are now */
  #moveAway(projectDir: string, kept: ReadonlySet<Digest>): string[] {
    const names = new Set([...kept].map(digestHex));
    const entries = entriesOf(projectDir);
    for (const { name } of entries) if (this.#isLeftOver(projectDir, name)) rmSync(join(projectDir, name));
    const doomed = entries.filter(
      ({ name }) => ROOT.test(name) && !names.has(name) && !this.#running.has(join(projectDir, name)),
    );
    if (doomed.length === 0) return [];
    const staging = join(this.#dir, STAGING);
    mkdirSync(staging, { recursive: true });
    const gone = new Set(doomed.map(({ name }) => name));
    for (const entry of entries) {
      const path = join(projectDir, entry.name);
      if (entry.isSymbolicLink() && gone.has(readlinkSync(path))) rmSync(path);
    }
    return doomed.map(({ name }) => {
      const away = join(staging, randomUUID());
      rmSync(join(projectDir, `${name}.json`), { force: true });
      renameSync(join(projectDir, name), away);
      return away;
    });
  }

  /** Drafts of marks and names that an earlier process left, and marks whose root is not there. */
  #isLeftOver(projectDir: string, name: string): boolean {
    const root = /^([0-9a-f]{64})\.json$/.exec(name)?.[1];
    const path = join(projectDir, name);
    if (root === undefined ? !DRAFT.test(name) : existsSync(join(projectDir, root))) return false;
    const { mtimeMs } = lstatSync(path, { throwIfNoEntry: false }) ?? { mtimeMs: Number.POSITIVE_INFINITY };
    return mtimeMs < this.#startedMs - CLOCK_MS;
  }

  async #run(tree: Digest, projectDir: string, signal: AbortSignal): Promise<MaterializeResult> {
    const outcome = await this.#pool.run(
      "materialize",
      {
        tree,
        projectDir,
        stagingDir: join(this.#dir, STAGING),
        boot: this.#boot,
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

function entriesOf(dir: string): Dirent[] {
  try {
    return readdirSync(dir, { withFileTypes: true });
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).code;
    if (errno === "ENOENT" || errno === "ENOTDIR") return [];
    throw error;
  }
}

/** Changes with every start of the machine; of this process where the system does not tell. */
function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return randomUUID();
  }
}
