import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import type { TestFarm } from "../helpers/farm.ts";
import { publishReady } from "../helpers/farm-requests.ts";
import type { Bench } from "./bench.ts";
import { withBenchFarm } from "./bench-farm.ts";
import { farmUsage, usageSince } from "./farm-usage.ts";
import { roundsRow, type Section, valueRow } from "./row.ts";
import { timed } from "./timed.ts";

const COMMIT = "1000000";
const ROUNDS = 30;
/** Of a farm that has worked all day the code is compiled. */
const WARM_UP = 30;

/** The same archive again: sent whole, and announced by its digest, as the CLI does. */
export async function measureIdentical({ folder, corpus }: Bench): Promise<Section> {
  const archive = readFileSync(corpus.archive);
  return withBenchFarm(join(folder, "identical"), [], async (farm) => {
    const again = async () => {
      const release = await publishReady(farm, "app", archive, { query: { commit: COMMIT } });
      if (release.version !== "v1") throw new Error(`an identical archive became ${release.version}`);
    };
    await again();
    const sent: number[] = [];
    for (let round = 0; round < ROUNDS; round++) sent.push(await timed(again));
    // The client's own work: the target is the server's time.
    const digest = createHash("sha256").update(archive).digest("base64");
    const announced = { digest, bytes: archive.byteLength };
    for (let round = 0; round < WARM_UP; round++) await announce(farm, announced);
    const before = farmUsage(farm);
    const answered: number[] = [];
    let sentBytes = 0;
    for (let round = 0; round < ROUNDS; round++)
      answered.push(
        await timed(async () => {
          sentBytes = await announce(farm, announced);
        }),
      );
    const { cpuMs } = usageSince(farm, before);
    return {
      title: "Identical re-publish",
      rows: [
        roundsRow("the archive sent again, over HTTP", sent),
        roundsRow("its digest announced, no content sent", answered, { reach: { atMost: 5 } }),
        valueRow("sent for that, headers and all", sentBytes, "bytes"),
        valueRow("CPU of the farm for that", cpuMs / ROUNDS, "ms CPU"),
      ],
    };
  });
}

/** What the CLI does with an archive file that it has hashed: its head first, its content only when the farm asks for it. @returns bytes sent */
async function announce(
  farm: TestFarm,
  { digest, bytes }: { digest: string; bytes: number },
): Promise<number> {
  const sending = request(`${farm.url}/v1/orgs/default/projects/app/publishes?commit=${COMMIT}`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${farm.token}`,
      "content-length": bytes,
      "content-digest": `sha-256=:${digest}:`,
      expect: "100-continue",
    },
  });
  sending.flushHeaders();
  const [answer] = (await once(sending, "response")) as [IncomingMessage];
  answer.resume();
  await once(answer, "end");
  const sentBytes = answer.socket.bytesWritten;
  sending.destroy();
  if (answer.statusCode !== 200) throw new Error(`an announced archive was answered ${answer.statusCode}`);
  return sentBytes;
}
