import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "granary";
import type { CloudEvent } from "../../proto/events.ts";
import type { Page } from "../../proto/http.ts";
import type { EventSnapshotJson } from "../../proto/webhook-http.ts";
import { appArchive } from "../helpers/app-archive.ts";
import { eventually, removeDir, startTestFarm, tempDir } from "../helpers/farm.ts";
import { problemOf, publishReady, send } from "../helpers/farm-requests.ts";

test("a cursor that is no longer kept is answered with a snapshot, from which a subscriber goes on without a gap", async () => {
  const folder = tempDir("cursor");
  const short = join(folder, "short.toml");
  writeFileSync(short, 'events_keep = "1s"\n');
  const brief = await startTestFarm({ data: join(folder, "brief"), args: ["--config", short] });
  try {
    await publishReady(brief, "bot", appArchive({ a: "1" }));
    const first = (await brief.json<Page<CloudEvent>>("/v1/events?limit=1")).items[0]?.granarycursor ?? "1-0";
    const gone = await eventually(
      async () => {
        const answer = await send(brief, `/v1/events?cursor=${first}`);
        return answer.status === 410 ? answer : undefined;
      },
      20_000,
      "the cursor expires",
    );
    problemOf(gone, 410, "CURSOR_EXPIRED");
    const { snapshot } = gone.body as { snapshot: EventSnapshotJson };
    const [project] = snapshot.projects;
    assert.deepEqual([project?.project, project?.current, project?.generation], ["bot", "v1", 1]);
    const [seq] = first.split("-");
    const ahead = await send<{ snapshot: EventSnapshotJson }>(
      brief,
      `/v1/events?cursor=${Number(seq) + 1_000}-0`,
    );
    problemOf(ahead, 410, "CURSOR_EXPIRED");
    assert.equal(
      ahead.body.snapshot.projects.length,
      1,
      "a cursor from another farm, or from before a restore",
    );
    const stream = await send(brief, `/v1/events?cursor=${first}`, {
      headers: { accept: "text/event-stream" },
    });
    assert.equal(stream.status, 410, "a stream is refused before it begins");
    await publishReady(brief, "bot", appArchive({ a: "2" }));
    const next = await brief.json<Page<CloudEvent>>(`/v1/events?cursor=${snapshot.cursor}`);
    assert.equal(Number(next.items[0]?.sequence), (project?.event_n ?? 0) + 1);
    const granary = connect({ url: brief.url, token: brief.token });
    await assert.rejects(granary.events({ from: first }).next(), { code: "CURSOR_EXPIRED" });
    const told: EventSnapshotJson[] = [];
    await brief.json("/v1/orgs/default/subscriptions/late:claim", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ holder: "gone", from: first, ttl_s: 2 }),
    });
    const subscription = granary.subscribe({
      group: "late",
      claimSeconds: 2,
      onExpired: (state) => void told.push(state),
    });
    const reading = subscription[Symbol.asyncIterator]().next();
    await eventually(() => told[0], 20_000, "the snapshot");
    await publishReady(brief, "bot", appArchive({ a: "3" }));
    const behind = await reading;
    assert.equal(Number(behind.value?.sequence), (told[0]?.projects[0]?.event_n ?? 0) + 1);
    await subscription.close();
    const again = await brief.json<EventSnapshotJson>("/v1/events/snapshot?project=bot");
    assert.deepEqual([again.projects[0]?.current, again.projects.length], ["v3", 1]);
  } finally {
    await brief.stop();
    removeDir(folder);
  }
});
