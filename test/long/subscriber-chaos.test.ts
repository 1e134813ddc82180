import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { removeDir, startTestFarm, tempDir } from "../helpers/farm.ts";
import { subscriberChaos } from "../helpers/subscriber-chaos.ts";
import { WebhookReceiver } from "../helpers/webhook-receiver.ts";

const SECONDS = Number(process.env["GRANARY_CHAOS_S"] ?? 120);
const seed = Number(process.env["GRANARY_SEED"] ?? Date.now() % 2 ** 31);
const folder = tempDir("subscriber-chaos");
after(() => removeDir(folder));

test(`no subscriber misses or doubles an event in ${SECONDS} s of kills (seed ${seed})`, async (t) => {
  const receiver = new WebhookReceiver();
  await receiver.start();
  t.after(() => receiver.stop());
  const config = join(folder, "granary.toml");
  writeFileSync(config, "webhook_allow_private = true\n");
  let port = "0";
  const start = async () => {
    const farm = await startTestFarm({ data: join(folder, "data"), port, args: ["--config", config] });
    port = new URL(farm.url).port;
    return farm;
  };
  const counts = await subscriberChaos({ seed, seconds: SECONDS, receiver, start });
  t.diagnostic(JSON.stringify(counts));
});
