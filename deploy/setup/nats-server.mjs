import fs from "node:fs";
import path from "node:path";
import { cacheFolder } from "./cache-folder.mjs";
import { readNatsCache, writeNatsCache } from "./nats-cache.mjs";
import { natsFromApt } from "./nats-from-apt.mjs";
import { natsFromRelease } from "./nats-from-release.mjs";
import { isFitNatsVersion, MIN_NATS_VERSION, natsVersionOf } from "./nats-version.mjs";
import { say } from "./say.mjs";
import { SetupError } from "./setup-error.mjs";

/**
 * Finds a fit nats-server or gets one: `NATS_SERVER_BIN`, `PATH`, the cache, the Debian mirror, the release archive.
 * services/shared/nats-binary.ts looks it up at run time in the same order, without the last two.
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<{path: string, version: string, source: string}>}
 * @throws {SetupError} one line that says what to install on this system
 */
export async function natsServer(env) {
  return (
    (await namedServer(env)) ??
    (await serverOnPath(env)) ??
    readNatsCache(cacheFolder(env)) ??
    (await getServer(env))
  );
}

async function namedServer(env) {
  const file = env.NATS_SERVER_BIN;
  if (!file) return undefined;
  const version = await natsVersionOf(file);
  if (!isFitNatsVersion(version)) {
    throw new SetupError(
      `NATS_SERVER_BIN=${file} is ${version ?? "not a nats-server that runs here"}; ${MIN_NATS_VERSION} or newer is needed`,
    );
  }
  return { path: file, version, source: "NATS_SERVER_BIN" };
}

async function serverOnPath(env) {
  for (const folder of (env.PATH ?? "").split(path.delimiter)) {
    const file = path.join(folder, "nats-server");
    if (!path.isAbsolute(file) || !fs.existsSync(file)) continue;
    const version = await natsVersionOf(file);
    if (isFitNatsVersion(version)) return { path: file, version, source: "PATH" };
  }
  return undefined;
}

async function getServer(env) {
  const cache = cacheFolder(env);
  fs.mkdirSync(cache, { recursive: true });
  removeAbandoned(cache);
  const reasons = [];
  const ways = [
    ["Debian's archive", (work) => natsFromApt(work)],
    ["its release archive", (work) => natsFromRelease(work, { base: env.GRANARY_NATS_RELEASES })],
  ];
  for (const [name, get] of ways) {
    const work = fs.mkdtempSync(path.join(cache, WORK_PREFIX));
    try {
      const result = await get(work);
      if (result.ok && isFitNatsVersion(result.version)) {
        say(`nats-server ${result.version} from ${name} (kept in ${cache})`);
        return writeNatsCache(cache, result);
      }
      reasons.push(`${name}: ${result.ok ? `${result.version} is too old` : result.reason}`);
    } finally {
      fs.rmSync(work, { recursive: true, force: true });
    }
  }
  throw new SetupError(
    `no nats-server >= ${MIN_NATS_VERSION}: ${installHint()} (tried ${reasons.join("; ")})`,
  );
}

const WORK_PREFIX = "get-nats-";
const ABANDONED_MS = 3_600_000;

/** Work folders of set-ups that were killed. */
function removeAbandoned(cache) {
  for (const name of fs.readdirSync(cache)) {
    if (!name.startsWith(WORK_PREFIX)) continue;
    const folder = path.join(cache, name);
    const changedMs = fs.statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - changedMs > ABANDONED_MS) fs.rmSync(folder, { recursive: true, force: true });
  }
}

function installHint() {
  const named = "or set NATS_SERVER_BIN to one from github.com/nats-io/nats-server/releases";
  if (process.platform === "darwin") return `run \`brew install nats-server\`, ${named}`;
  if (process.platform === "win32") return "use WSL 2";
  if (fs.existsSync("/etc/alpine-release")) return `run \`apk add nats-server\`, ${named}`;
  if (fs.existsSync("/etc/arch-release")) return `run \`pacman -S nats-server\`, ${named}`;
  return `install nats-server from your distribution if it is new enough, ${named}`;
}
