import { applyOnce, connect } from "../../services/client/connect.ts";
import { type RemoteTx, remoteLedger } from "./remote-ledger.ts";

/**
 * One replica of a group, in a process that is killed and stopped at will: notes every event in the ledger that all replicas share. Now
 * and then a handler is slow, or throws, which ends the process. SIGTERM ends it as users do: by `close()`, without an exit.
 */
const [url = "", token = "", ledgerUrl = "", group = ""] = process.argv.slice(2);
const ledger = remoteLedger(ledgerUrl);
const subscription = connect({ url, token }).subscribe({ group, claimSeconds: 3 });
process.on("SIGTERM", () => void subscription.close());
for await (const event of subscription) {
  if (Math.random() < 0.003) process.exit(5);
  if (Math.random() < 0.01) await new Promise((resolve) => setTimeout(resolve, 2_000 * Math.random()));
  await applyOnce(ledger, event, (tx: RemoteTx) => void tx.effects.push(event.id));
}
