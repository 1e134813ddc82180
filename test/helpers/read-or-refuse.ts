import assert from "node:assert/strict";
import { GranaryError } from "../../proto/errors.ts";
import { encodeTree } from "../../proto/tree.ts";
import { ORACLES } from "./archive-oracles.ts";
import { listArchive } from "./list-archive.ts";

/** Reads any bytes. Answers the canonical tree, or undefined after a refusal with a code of the grammar; all else fails. */
export function readOrRefuse(archive: Uint8Array): string | undefined {
  try {
    return encodeTree(listArchive(archive).tree.entries).toString();
  } catch (error) {
    assert.ok(
      error instanceof GranaryError,
      `not a refusal but ${error instanceof Error ? error.stack : String(error)}`,
    );
    assert.match(error.code, /^ARCHIVE_/);
    assert.equal(typeof error.detail["offset"], "number", `${error.code}: ${error.message}`);
    return undefined;
  }
}

/** What is accepted lists the same in every other reader that is installed. */
export function agreeOn(archive: Uint8Array, tree: string): void {
  for (const oracle of ORACLES) {
    if (oracle.missing === undefined) assert.deepEqual(oracle.list(archive), { tree }, oracle.name);
  }
}
