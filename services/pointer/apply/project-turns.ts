import type { Name } from "../../../proto/names.ts";
import type { PublishRecord } from "../../../proto/records.ts";
import { KEYS, RANGES, type WorkRow } from "../../shared/state-keys.ts";
import { LANE } from "../lane.ts";
import type { Step } from "./step.ts";

/*
 * `max_concurrency` of a project: that many of its publishes have a turn, which means a job in the queue or a node that works on it. The others
 * wait, in rows of their own, without a job: no node takes up what it may not begin. Turns are counted only where there is such a limit.
 */

/** An accepted publish becomes work, or waits when all turns of its project are taken. */
export function beginWork(step: Step, row: WorkRow): void {
  const limit = limitOf(step, row.project);
  const taken = step.get(KEYS.turns(row)) ?? 0;
  if (taken >= limit) {
    makeWait(step, row);
    return;
  }
  step.put(KEYS.work(LANE, row.org, row.order), row);
  if (limit !== Number.POSITIVE_INFINITY) step.put(KEYS.turns(row), taken + 1);
}

/** A publish has ended: its turn, if it had one, goes to the one of its project that waits longest. */
export function endWork(step: Step, publish: PublishRecord): void {
  const row = step.get(KEYS.work(LANE, publish.org, publish.order));
  if (row === undefined) {
    if (step.get(KEYS.waitingWork(publish, publish.order)) !== undefined) stopWaiting(step, publish);
    return;
  }
  removeWork(step, row);
  const taken = step.get(KEYS.turns(row));
  if (taken === undefined) return;
  const free = limitOf(step, row.project) - (taken - 1);
  const next = free <= 0 ? [] : [...step.range(RANGES.waitingWork(row), { limit: free })];
  for (const { value } of next) giveTurn(step, value);
  step.put(KEYS.turns(row), taken - 1 + next.length);
}

/**
 * The opened project's `max_concurrency` has changed: what runs keeps its turn, and of what is queued the oldest have one while there are any.
 * Walks the org's work, which its quota bounds.
 */
export function shareTurns(step: Step): void {
  const { org, project } = step.openProject();
  const limit = limitOf(step, project);
  const work = [...step.range(RANGES.orgWork(LANE, org))]
    .map(({ value }) => value)
    .filter((row) => row.project === project);
  const queued = work.filter((row) => step.get(KEYS.publish(row.publish_id))?.state === "queued");
  const waiting = [...step.range(RANGES.waitingWork({ org, project }))].map(({ value }) => value);
  const running = work.length - queued.length;
  const turns = Math.max(0, limit - running);
  const inOrder = [...queued, ...waiting].toSorted((a, b) => a.order - b.order);
  const chosen = new Set(inOrder.slice(0, turns));
  for (const row of waiting) if (chosen.has(row)) giveTurn(step, row);
  for (const row of queued)
    if (!chosen.has(row)) {
      removeWork(step, row);
      makeWait(step, row);
    }
  if (limit === Number.POSITIVE_INFINITY) step.remove(KEYS.turns({ org, project }));
  else step.put(KEYS.turns({ org, project }), running + chosen.size);
}

function giveTurn(step: Step, row: WorkRow): void {
  stopWaiting(step, row);
  step.put(KEYS.work(LANE, row.org, row.order), { ...row, turn: step.seq });
  step.put(KEYS.turnGiven(step.seq, row), { org: row.org, order: row.order });
}

function removeWork(step: Step, row: WorkRow): void {
  step.remove(KEYS.work(LANE, row.org, row.order));
  if (row.turn !== undefined) step.remove(KEYS.turnGiven(row.turn, row));
}

function makeWait(step: Step, { turn: _, ...row }: WorkRow): void {
  step.put(KEYS.waitingWork(row, row.order), row);
  countWaiting(step, row.org, 1);
}

function stopWaiting(step: Step, at: { org: Name; project: Name; order: number }): void {
  step.remove(KEYS.waitingWork(at, at.order));
  countWaiting(step, at.org, -1);
}

function countWaiting(step: Step, org: Name, change: number): void {
  step.put(KEYS.orgWaiting(org), (step.get(KEYS.orgWaiting(org)) ?? 0) + change);
}

function limitOf(step: Step, project: Name): number {
  return step.openProject(project).settings.max_concurrency ?? Number.POSITIVE_INFINITY;
}
