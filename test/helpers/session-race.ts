import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { PointerChangeJson, SessionJson } from "../../proto/http.ts";
import { appArchive } from "./app-archive.ts";
import type { TestFarm } from "./farm.ts";
import { projectUrl, publishReady, send } from "./farm-requests.ts";

const TICK_MS = 20;
/** More would wait for connections, not for the farm. */
const AT_ONCE = 200;
const RELEASES = 3;

export interface RaceResult {
  readonly sessions: number;
  readonly activations: number;
  readonly startsPerSecond: number;
}

/**
 * Starts sessions while the pointer moves, and checks each: it never has two releases, whoever asks and however often, and none
 * older than an activation that was acknowledged before its start was sent. @throws AssertionError
 */
export async function raceSessions(
  farm: TestFarm,
  project: string,
  options: { seconds: number; startsPerSecond: number; activationEveryMs: number },
): Promise<RaceResult> {
  const url = projectUrl(project);
  for (let n = 0; n < RELEASES; n++)
    await publishReady(farm, project, appArchive({ "version.txt": `${n}` }), {
      query: { commit: `${n}`.repeat(40), activate: n === 0 ? "true" : "false" },
    });
  /** Newest generation whose activation has been answered, and which release each generation is. */
  let acknowledged = 1;
  const versions = new Map<number, string>([[1, "v1"]]);
  const sessions: SessionJson[] = [];
  const under = new AbortController();

  const move = async (): Promise<void> => {
    for (let n = 1; !under.signal.aborted; n++) {
      const version = `v${(n % RELEASES) + 1}`;
      const answer = await send<PointerChangeJson>(farm, `${url}/activations`, { json: { version } });
      assert.equal(answer.status, 200, answer.text);
      acknowledged = Math.max(acknowledged, answer.body.generation);
      versions.set(answer.body.generation, version);
      await sleep(options.activationEveryMs);
    }
  };

  const put = (id: string) => send<SessionJson>(farm, `${url}/sessions/${id}`, { method: "PUT", json: {} });
  let starting = 0;
  const live = async (n: number): Promise<void> => {
    const id = `s-${n}`;
    const floor = acknowledged;
    // Every fourth is asked for twice at once, as two replicas of an application would.
    starting += 1;
    const asked = Promise.all(n % 4 === 0 ? [put(id), put(id)] : [put(id)]);
    const answers = await asked.finally(() => {
      starting -= 1;
    });
    const statuses = answers.map(({ status }) => status).sort();
    assert.deepEqual(statuses, n % 4 === 0 ? [200, 201] : [201], answers[0]?.text);
    const [session] = answers.map(({ body }) => body);
    assert.ok(session !== undefined);
    assert.ok(
      session.generation >= floor,
      `${id} has generation ${session.generation}, ${floor} was acknowledged before`,
    );
    for (const { body } of answers) assert.deepEqual(body, session);
    await sleep(n % 300);
    const later = n % 2 === 0 ? await put(id) : await send<SessionJson>(farm, `${url}/sessions/${id}`);
    assert.equal(later.status, 200, later.text);
    assert.deepEqual(later.body, session, "a session has one release");
    sessions.push(session);
  };

  const moving = move();
  moving.catch(() => undefined);
  const startedAt = performance.now();
  const living: Promise<void>[] = [];
  const total = options.seconds * options.startsPerSecond;
  while (living.length < total) {
    const due = Math.ceil(((performance.now() - startedAt + TICK_MS) / 1_000) * options.startsPerSecond);
    while (living.length < Math.min(due, total) && starting < AT_ONCE) {
      const session = live(living.length);
      session.catch(() => undefined);
      living.push(session);
    }
    await sleep(TICK_MS);
  }
  const ended = await Promise.allSettled(living);
  const tookMs = performance.now() - startedAt;
  under.abort();
  await moving;
  for (const result of ended) if (result.status === "rejected") throw result.reason;
  for (const { id, version, generation } of sessions) assert.equal(version, versions.get(generation), id);
  return {
    sessions: sessions.length,
    activations: versions.size - 1,
    startsPerSecond: Math.round((sessions.length / tookMs) * 1_000),
  };
}
