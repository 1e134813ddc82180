import { createHash } from "node:crypto";

/**
 * sha256 over the rows in key order, as hex: equal on every replica that applied the same commands (ruling 11). The text of a
 * value is what the state machine wrote; replicas run the same code, so no second encoder takes part.
 */
export function stateDigest(rows: Iterable<readonly [key: string, json: string]>): string {
  const hasher = new StateHasher();
  for (const row of rows) hasher.add(row);
  return hasher.digest();
}

/** {@link stateDigest}, row by row. */
export class StateHasher {
  readonly #hash = createHash("sha256");

  add([key, json]: readonly [key: string, json: string]): void {
    this.#hash.update(`${key}\0${json}\n`);
  }

  digest(): string {
    return this.#hash.digest("hex");
  }
}
