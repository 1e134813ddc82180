import os from "node:os";
import path from "node:path";

/**
 * The folder for what set-up fetches, outside every checkout: `$GRANARY_CACHE`, `$XDG_CACHE_HOME/granary` or
 * `~/.cache/granary`. services/shared/nats-binary.ts follows the same order.
 * @param {NodeJS.ProcessEnv} env
 * @returns {string} absolute path; it may not exist yet
 */
export function cacheFolder(env) {
  if (env.GRANARY_CACHE) return path.resolve(env.GRANARY_CACHE);
  if (env.XDG_CACHE_HOME) return path.resolve(env.XDG_CACHE_HOME, "granary");
  return path.join(os.homedir(), ".cache", "granary");
}
