import { existsSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import {
  canonicalManifest,
  environmentId,
  manifestHash,
  mockLock,
  preliminaryId,
  unresolvedLock,
} from "../../../proto/environment.ts";
import { EXIT, GranaryError } from "../../../proto/errors.ts";
import { LOCK_FILE, parseKarapaceLock, requireLockOf } from "../../../proto/karapace-lock.ts";
import { KARAPACE_FILE, parseKarapaceToml } from "../../../proto/karapace-toml.ts";
import { printable } from "../output/format.ts";
import type { VerbHandler } from "../verb-context.ts";

/** The identities of an environment, offline: those of its lock when there is one beside the manifest. */
export const envHash: VerbHandler<"env hash"> = async ({ args, output, cwd }) => {
  const file = manifestFile(path.resolve(cwd, args[0] ?? "."));
  const manifest = parseKarapaceToml(readFileSync(file));
  const lockFile = path.join(path.dirname(file), LOCK_FILE);
  const resolved = existsSync(lockFile) ? parseKarapaceLock(readFileSync(lockFile)) : undefined;
  if (resolved !== undefined) requireLockOf(resolved, manifest);
  const envId = environmentId(resolved ?? unresolvedLock(manifest));
  const answer = {
    canonical_json: canonicalManifest(manifest),
    manifest_hash: manifestHash(manifest),
    preliminary_id: preliminaryId(manifest),
    env_id: envId,
    short_id: envId.slice(0, 12),
    mock_env_id: environmentId(mockLock(manifest)),
    locked: resolved !== undefined,
  };
  output.emit(answer, () => {
    if (output.quiet) {
      output.line(envId);
      return;
    }
    output.line(`manifest     ${answer.manifest_hash}`);
    output.line(`preliminary  ${answer.preliminary_id}`);
    output.line(`env_id       ${envId}${answer.locked ? "" : " (unresolved: there is no karapace.lock)"}`);
    output.line(`mock env_id  ${answer.mock_env_id}`);
    output.line(printable(answer.canonical_json));
  });
  return EXIT.ok;
};

/** @throws GranaryError ENVIRONMENT_INVALID, USAGE */
function manifestFile(given: string): string {
  const found = statSync(given, { throwIfNoEntry: false });
  if (found === undefined)
    throw new GranaryError("USAGE", `no such file or directory: ${printable(given)}`, { path: given });
  const file = found.isDirectory() ? path.join(given, KARAPACE_FILE) : given;
  if (statSync(file, { throwIfNoEntry: false })?.isFile() !== true)
    throw new GranaryError("ENVIRONMENT_INVALID", `there is no file ${printable(file)}`, {
      path: file,
      hint: `Name a directory with a ${KARAPACE_FILE}, or the file itself.`,
    });
  return file;
}
