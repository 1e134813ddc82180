import type { Command } from "../../proto/commands.ts";
import type { Name } from "../../proto/names.ts";
import { retentionRule } from "../shared/retention-rule.ts";
import type { StateView } from "../shared/state-db-tx.ts";
import { KEYS, RANGES } from "../shared/state-keys.ts";
import { whyKept } from "../shared/why-kept.ts";
import type { RelaySource } from "./relay-events.ts";
import { sweepCommand } from "./sweep-command.ts";

/** A command that the log refused as early (its clock is behind this one) is sent anew after this long. */
const REPEAT_MS = 10_000;
/** Bound one sweep, which runs on the main thread; the next goes on behind it. */
const PROJECTS_PER_SWEEP = 16;
const RELEASES_PER_SWEEP = 64;

interface Due {
  readonly org: Name;
  readonly project: Name;
  readonly version: string;
}

/**
 * Lets go of releases that their project's retention no longer keeps: sends a `retire` command for each, which the state machine
 * judges anew. Looks at a few projects a call, in turn. Two sweepers send the same commands, which count once.
 * @returns a step, which answers how many were sent. @throws when the log does not answer: call it again
 */
export function retentionSweep(options: {
  source: RelaySource;
  append(command: Command): Promise<unknown>;
}): (nowMs: number) => Promise<number> {
  const { source, append } = options;
  /** Where the kept releases of a project begin: what was retired once stays retired. */
  const begins = new Map<string, string>();
  let after: string | undefined;
  return async (nowMs) => {
    const due = source.read((view) => {
      const range = RANGES.retentions();
      const rows = [
        ...view.range(range, {
          limit: PROJECTS_PER_SWEEP,
          ...(after === undefined ? {} : { after }),
        }),
      ];
      after = rows.length < PROJECTS_PER_SWEEP ? undefined : rows.at(-1)?.key;
      return rows.flatMap((row) => dueReleases(view, row.value, { nowMs, begins }));
    });
    for (const release of due) await append(commandOf(release, nowMs));
    return due.length;
  };
}

function dueReleases(
  view: StateView,
  at: { org: Name; project: Name },
  { nowMs, begins }: { nowMs: number; begins: Map<string, string> },
): Due[] {
  const project = view.get(KEYS.project(at));
  const rule = project === undefined ? undefined : retentionRule(view, project, nowMs);
  if (rule === undefined) return [];
  const name = `${at.org}/${at.project}`;
  const behind = begins.get(name);
  const due: Due[] = [];
  let retired = true;
  for (const { key, value: release } of view.range(RANGES.releases(at), {
    ...(behind === undefined ? {} : { after: behind }),
  })) {
    retired &&= release.state === "retired";
    if (retired) begins.set(name, key);
    if (release.state === "retired") continue;
    if (rule.keepsFrom(release) || due.length >= RELEASES_PER_SWEEP) break;
    if (whyKept(view, release) === undefined && !rule.keeps(release))
      due.push({ ...at, version: release.version });
  }
  return due;
}

function commandOf({ org, project, version }: Due, nowMs: number): Command {
  const nth = Math.floor(nowMs / REPEAT_MS);
  const body = { type: "retire", version, automatic: true } as const;
  return sweepCommand({ org, project }, body, ["retire", org, project, version, nth]);
}
