import { createHash } from "node:crypto";

/**
 * sha256 over the rows in key order, as hex: equal on every replica that applied the same commands (ruling 11). The text of a
 * value is what the state machine wrote; replicas run the same code, so no second encoder takes part.
 */
export function stateDigest(rows: Iterable<readonly [key: string, json: string]>): string {
  const hash = createHash("sha256");
  for (const [key, json] of rows) hash.update(`${key}\0${json}\n`);
  return hash.digest("hex");
}
