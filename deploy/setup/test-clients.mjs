import fs from "node:fs";
import path from "node:path";
import { runCommand } from "./run-command.mjs";
import { say } from "./say.mjs";

/** Programs that some tests use as judges, and the Debian package of each. */
const CLIENTS = {
  skopeo: "skopeo",
  podman: "podman",
  bsdtar: "libarchive-tools",
  strace: "strace",
  openssl: "openssl",
};

/**
 * Installs the optional test clients that are missing, where set-up may change the system: as root, and with `CI=true`
 * or `GRANARY_SETUP=system`. Otherwise one line says what tests skip. Never fails set-up.
 * @param {NodeJS.ProcessEnv} env
 */
export async function installTestClients(env) {
  const missing = missingClients(env);
  if (missing.length === 0) return;
  const mayInstall = process.getuid?.() === 0 && (env.CI === "true" || env.GRANARY_SETUP === "system");
  if (mayInstall && isOnPath("apt-get", env)) await installWithApt(missing, env);
  const absent = missingClients(env);
  if (absent.length > 0) say(`tests that need ${absent.join(", ")} will be skipped${mayInstall ? "" : HOW}`);
}

const HOW = " (GRANARY_SETUP=system as root installs them)";

async function installWithApt(clients, env) {
  const packages = clients.map((client) => CLIENTS[client]);
  say(`installing ${packages.join(", ")} (apt-get)`);
  const apt = (...args) =>
    runCommand("apt-get", ["-q", "-y", "-o", "DPkg::Lock::Timeout=60", ...args], {
      env: { ...env, DEBIAN_FRONTEND: "noninteractive" },
      timeoutMs: 300_000,
    });
  const install = (...names) => apt("install", "--no-install-recommends", "--no-upgrade", ...names);
  // The lists are often current enough; images without any need an update first.
  if ((await install(...packages)).ok) return;
  await apt("update");
  // One by one: a package that does not exist here must not keep the others out.
  for (const name of packages) {
    const { ok, output } = await install(name);
    if (!ok) say(`apt-get could not install ${name}: ${output.trim().split("\n").at(-1)}`);
  }
}

function missingClients(env) {
  return Object.keys(CLIENTS).filter((client) => !isOnPath(client, env));
}

function isOnPath(program, env) {
  return (env.PATH ?? "")
    .split(path.delimiter)
    .some((folder) => folder && fs.existsSync(path.join(folder, program)));
}
