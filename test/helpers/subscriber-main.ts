import { applyOnce, connect, fileLedger } from "../../services/client/connect.ts";

/** A subscriber as users write them, in a process that a test may kill: notes every event of the org in a ledger. */
const [url = "", token = "", file = "", group = ""] = process.argv.slice(2);
const ledger = fileLedger<string[]>(file, []);
for await (const event of connect({ url, token }).subscribe({ group, claimSeconds: 2 }))
  await applyOnce(ledger, event, (tx) => {
    tx.state.push(event.id);
  });
