/**
 * Acts once per activation: counts them per project, and says what is live. Run it twice, kill it, start it again: no activation is
 * missed and none is counted twice, because the count and the place in the events become durable in one step.
 *
 *   GRANARY_URL=http://127.0.0.1:7421 GRANARY_TOKEN=gr_... node dist/examples/subscribe/subscribe.js live.json [STOP_AFTER]
 */
import { applyOnce, connect, fileLedger } from "granary";

const [file = "live.json", stopAfter = "Infinity"] = process.argv.slice(2);
const { GRANARY_URL: url = "http://127.0.0.1:7421", GRANARY_TOKEN: token = "" } = process.env;

interface Live {
  activations: number;
  current: Record<string, string>;
}

const ledger = fileLedger<Live>(file, { activations: 0, current: {} });
const subscription = connect({ url, token }).subscribe({ group: "example-ts", claimSeconds: 5 });

for await (const event of subscription) {
  if (event.type !== "dev.granary.release.activated.v1") continue;
  const outcome = await applyOnce(ledger, event, (tx) => {
    tx.state.activations += 1;
    tx.state.current[event.source] = String(event.data["to"]);
  });
  const { activations } = await ledger.read();
  process.stdout.write(`${outcome} ${event.id}: ${event.source} runs ${event.data["to"]}\n`);
  if (activations >= Number(stopAfter)) break;
}
await subscription.close();
