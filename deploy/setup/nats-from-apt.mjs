import fs from "node:fs";
import path from "node:path";
import { aptMirror } from "./apt-mirror.mjs";
import { sha256OfFile } from "./nats-cache.mjs";
import { natsVersionOf } from "./nats-version.mjs";
import { runCommand } from "./run-command.mjs";

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
/** The stable suites carry servers that are too old; this one moves, so any version from it that fits is taken. */
const SUITE = "forky";

/**
 * Unpacks Debian's nats-server into a folder without installing anything: apt checks the signatures, all of its state
 * stays below `work`, and no hook of the machine's own configuration runs.
 * @param {string} work an empty folder of ours; the caller removes it
 * @param {{aptFolder?: string, keyring?: string}} [host]
 * @returns {Promise<{ok: true, file: string, version: string, source: string} | {ok: false, reason: string}>}
 */
export async function natsFromApt(work, host = {}) {
  const keyring = host.keyring ?? KEYRING;
  if (!fs.existsSync(keyring)) return { ok: false, reason: "no Debian archive keyring on this system" };
  const mirror = aptMirror(host.aptFolder);
  if (!mirror) return { ok: false, reason: "no Debian mirror is configured" };

  const config = writeAptConfig(work, `deb [signed-by=${keyring}] ${mirror} ${SUITE} main\n`);
  for (const step of [["update"], ["download", "nats-server"]]) {
    const args = ["-q", "-c", config, ...step];
    const { ok, output } = await runCommand("apt-get", args, { cwd: work, timeoutMs: 180_000 });
    if (!ok) return { ok: false, reason: `apt-get ${step.join(" ")} failed: ${lastLine(output)}` };
  }
  const deb = fs.readdirSync(work).find((name) => name.endsWith(".deb"));
  if (!deb) return { ok: false, reason: "apt-get downloaded nothing" };
  const unpacked = path.join(work, "unpacked");
  const { ok, output } = await runCommand("dpkg", ["-x", path.join(work, deb), unpacked]);
  if (!ok) return { ok: false, reason: `dpkg -x failed: ${lastLine(output)}` };

  const file = [path.join(unpacked, "usr/sbin/nats-server"), path.join(unpacked, "usr/bin/nats-server")].find(
    (name) => fs.existsSync(name),
  );
  const version = file && (await natsVersionOf(file));
  if (!file || !version) return { ok: false, reason: `${deb} does not run on this system` };
  return { ok: true, file, version, source: `${deb} sha256:${sha256OfFile(path.join(work, deb))}` };
}

/** A configuration for `apt-get -c`, which is read after the machine's own: proxies and transports of that stay. */
function writeAptConfig(work, sources) {
  const at = (...names) => path.join(work, ...names);
  fs.mkdirSync(at("lists", "partial"), { recursive: true });
  fs.mkdirSync(at("cache", "archives", "partial"), { recursive: true });
  fs.writeFileSync(at("sources.list"), sources);
  const settings = {
    "Dir::Etc::sourcelist": at("sources.list"),
    "Dir::Etc::sourceparts": "/dev/null",
    "Dir::State::lists": at("lists"),
    "Dir::Cache": at("cache"),
    "Dir::Cache::archives": at("cache", "archives"),
    "APT::Sandbox::User": "",
    "Acquire::Languages": "none",
    "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
    "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled": "false",
    "Acquire::Retries": "2",
    "Acquire::http::Timeout": "20",
    "Acquire::https::Timeout": "20",
  };
  const lines = Object.entries(settings).map(([key, value]) => `${key} ${JSON.stringify(value)};`);
  for (const hook of ["Pre-Invoke", "Post-Invoke", "Post-Invoke-Success"])
    lines.push(`#clear APT::Update::${hook};`);
  fs.writeFileSync(at("apt.conf"), `${lines.join("\n")}\n`);
  return at("apt.conf");
}

function lastLine(output) {
  return output.trim().split("\n").at(-1) ?? "";
}
