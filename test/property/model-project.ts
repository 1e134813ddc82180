import type { AcceptCommand } from "../../proto/commands.ts";

/** One project as the model sees it, and what several of its commands do to it. */
export interface ModelPublish {
  readonly id: string;
  readonly body: AcceptCommand;
  readonly order: number;
  state: string;
  attempt: number;
  version: number | undefined;
  hasLog?: true;
  /** Accepted when a newer publish of its channel could overtake it. */
  readonly yields: boolean;
  overtakenBy: string | undefined;
}

interface ModelRelease {
  readonly image: string;
  readonly commit: string | null;
  readonly order: number;
  retired?: true;
}

export interface ModelPreview {
  state: "ready" | "expired" | "removed";
  publish: ModelPublish;
  image: string;
  ttlMs: number;
  /** Infinity: pinned. */
  endsMs: number;
}

interface ModelSession {
  readonly version: number;
  readonly generation: number;
  endsMs: number;
}

/** Ends of the holds over all projects; -Infinity: there is none. */
export interface WiderHolds {
  orgMs: number;
  farmMs: number;
}

export class ModelProject {
  readonly #wider: WiderHolds;
  readonly publishes: ModelPublish[] = [];
  /** `v1` is the first. */
  readonly releases: ModelRelease[] = [];
  /** Versions in the order in which they went live, with the generation at which each was rolled back from, if it was. */
  readonly activations: { version: number; rolledBack: boolean }[] = [];
  autoOrder = 0;
  hold: { reason: string; untilMs: number } | undefined;
  requireCommit = false;
  overtake: boolean | undefined;
  readonly previews = new Map<string, ModelPreview>();
  readonly sessions = new Map<string, ModelSession>();
  readonly keys = new Map<string, { id: string; content: string; expiresMs: number }>();

  constructor(wider: WiderHolds) {
    this.#wider = wider;
  }

  /** Once an expired hold of its own is gone. */
  isHeld(timeMs: number): boolean {
    return this.hold !== undefined || Math.max(this.#wider.orgMs, this.#wider.farmMs) > timeMs;
  }

  get current(): number | undefined {
    return this.activations.at(-1)?.version;
  }
}

/** Number of the newest release of a commit with an image; 0 when it has none, or has been retired. */
export function sameRelease(project: ModelProject, image: string, commit: string | null): number {
  const at = project.releases.findLastIndex(
    (release) => release.image === image && release.commit === commit,
  );
  return project.releases[at]?.retired ? 0 : at + 1;
}

export function goLive(project: ModelProject, version: number): void {
  project.activations.push({ version, rolledBack: false });
  project.autoOrder = Math.max(project.autoOrder, project.releases[version - 1]?.order ?? 0);
}

export function expire(project: ModelProject, timeMs: number): void {
  if (project.hold !== undefined && project.hold.untilMs <= timeMs) project.hold = undefined;
}

export function isStale(project: ModelProject, expected: number | undefined): boolean {
  return expected !== undefined && expected !== project.activations.length;
}
