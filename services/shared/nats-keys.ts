import { randomBytes } from "node:crypto";
import { chmodSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createAccount, createUser } from "@nats-io/nkeys";
import { NatsKey } from "./nats-key.ts";
import { natsPaths } from "./nats-paths.ts";
import { inboxPrefixOf, NATS_ROLES, type NatsRole } from "./nats-permissions.ts";

export interface NatsCredentials {
  /** The nkey's seed in its text form. */
  readonly seed: Uint8Array;
  readonly inboxPrefix: string;
}

/**
 * What a role of this data folder connects with. The seed is made on first use and kept in `nats/keys/ROLE.nk` (0600);
 * two processes that ask at the same time get the same one.
 */
export function natsCredentials(dataDir: string, role: NatsRole): NatsCredentials {
  return { seed: readOrCreateSeed(natsPaths(dataDir).keys, role), inboxPrefix: inboxPrefixOf(role) };
}

/** The public keys of all roles, for the server's configuration; makes the seeds that are missing. */
export function natsPublicKeys(dataDir: string): ReadonlyMap<NatsRole, string> {
  const folder = natsPaths(dataDir).keys;
  return new Map(NATS_ROLES.map((role) => [role, new NatsKey(readOrCreateSeed(folder, role)).publicKey]));
}

/** What the api signs the admission of subscribers with (`issuer.nk`); the server's configuration has its public key. */
export function natsIssuer(dataDir: string): NatsKey {
  return new NatsKey(readOrCreateSeed(natsPaths(dataDir).keys, "issuer"));
}

function readOrCreateSeed(folder: string, name: NatsRole | "issuer"): Uint8Array {
  const file = path.join(folder, `${name}.nk`);
  const known = readSeed(file);
  if (known) return known;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
  const draft = `${file}.${process.pid}.${randomBytes(4).toString("hex")}`;
  const pair = name === "issuer" ? createAccount() : createUser();
  writeFileSync(draft, pair.getSeed(), { mode: 0o600, flag: "wx", flush: true });
  try {
    linkSync(draft, file);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    rmSync(draft);
  }
  return readFileSync(file);
}

function readSeed(file: string): Uint8Array | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
