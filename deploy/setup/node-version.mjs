import { SetupError } from "./setup-error.mjs";

const MIN_MAJOR = 20;
const MIN_MINOR = 19;

/**
 * Refuses a Node that is too old, before anything else can fail in a less clear way.
 * @param {string} version `process.versions.node`
 * @throws {SetupError}
 */
export function checkNodeVersion(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > MIN_MAJOR || (major === MIN_MAJOR && minor >= MIN_MINOR)) return;
  throw new SetupError(
    `Node ${version} is too old; install Node ${MIN_MAJOR}.${MIN_MINOR} or newer (nodejs.org)`,
  );
}
