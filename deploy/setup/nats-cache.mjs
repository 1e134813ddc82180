import { createHash, randomBytes } from "node:crypto";
import fs from "node:fs";
import path from "node:path";

/**
 * The cached nats-server: `<cache>/nats-server/<version>-<sha256 prefix>/nats-server`, named by
 * `<cache>/nats-server/current.json`: `{file, version, sha256, source}` with `file` relative to the folder. Folders are
 * renamed into place whole and never changed afterwards, and `current.json` is replaced by a rename, so any number of
 * concurrent set-ups leave a complete copy. services/shared/nats-binary.ts reads the same record.
 */

/**
 * The cached binary, if its bytes are still those that were recorded.
 * @param {string} cache the cache folder
 * @returns {{path: string, version: string, source: string} | undefined}
 */
export function readNatsCache(cache) {
  const folder = path.join(cache, "nats-server");
  let record;
  try {
    record = JSON.parse(fs.readFileSync(path.join(folder, "current.json"), "utf8"));
    const file = path.join(folder, record.file);
    if (sha256OfFile(file) !== record.sha256) return undefined;
    return { path: file, version: record.version, source: record.source };
  } catch {
    return undefined;
  }
}

/**
 * Puts a binary into the cache and makes it the current one; repeating it with the same bytes changes nothing.
 * @param {string} cache
 * @param {{file: string, version: string, source: string}} found `file` is copied, not moved
 * @returns {{path: string, version: string, source: string}}
 */
export function writeNatsCache(cache, found) {
  const folder = path.join(cache, "nats-server");
  const sha256 = sha256OfFile(found.file);
  const name = `${found.version}-${sha256.slice(0, 16)}`;
  const target = path.join(folder, name, "nats-server");
  const unique = `${process.pid}-${randomBytes(4).toString("hex")}`;
  fs.mkdirSync(folder, { recursive: true });
  if (!isFile(target) || sha256OfFile(target) !== sha256) {
    const staging = path.join(folder, `.staging-${unique}`);
    fs.mkdirSync(staging);
    fs.copyFileSync(found.file, path.join(staging, "nats-server"));
    fs.chmodSync(path.join(staging, "nats-server"), 0o755);
    putInPlace(staging, path.join(folder, name), sha256);
  }
  const record = {
    file: path.join(name, "nats-server"),
    version: found.version,
    sha256,
    source: found.source,
  };
  const draft = path.join(folder, `.current-${unique}.json`);
  fs.writeFileSync(draft, `${JSON.stringify(record, null, 2)}\n`);
  fs.renameSync(draft, path.join(folder, "current.json"));
  return { path: target, version: found.version, source: found.source };
}

/**
 * The sha256 of a file in hex.
 * @param {string} file
 */
export function sha256OfFile(file) {
  return createHash("sha256").update(fs.readFileSync(file)).digest("hex");
}

/** Renames a staged folder to its name; only a damaged copy that has the name already is moved away for it. */
function putInPlace(staging, target, sha256) {
  const aside = `${staging}-damaged`;
  for (;;) {
    try {
      fs.renameSync(staging, target);
      break;
    } catch (error) {
      if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    }
    const present = path.join(target, "nats-server");
    if (isFile(present) && sha256OfFile(present) === sha256) {
      fs.rmSync(staging, { recursive: true, force: true });
      break;
    }
    fs.rmSync(aside, { recursive: true, force: true });
    fs.renameSync(target, aside);
  }
  fs.rmSync(aside, { recursive: true, force: true });
}

function isFile(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}
