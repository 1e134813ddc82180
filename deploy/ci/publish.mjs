#!/usr/bin/env node
/**
 * What the GitHub Action and the GitLab template run: `granary publish` of this checkout, which is installed and built first
 * where that has not happened. Reads GRANARY_URL, GRANARY_PROJECT (ORG/PROJECT), GRANARY_PATH, GRANARY_PREVIEW and
 * GRANARY_ACTIVATE; writes what came of it to GITHUB_OUTPUT, or as a dotenv file to GRANARY_DOTENV. The farm's token is
 * GRANARY_TOKEN, or comes from the job's id token.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "../setup/build.mjs";
import { withCheckoutLock } from "../setup/checkout-lock.mjs";
import { installDependencies } from "../setup/dependencies.mjs";
import { checkNodeVersion } from "../setup/node-version.mjs";

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const COMMAND = path.join(root, "dist", "services", "cli", "main.js");

/** Names of the outputs: of the action, of the dotenv file, and where each comes from. */
const OUTPUTS = [
  ["version", "GRANARY_VERSION", (result) => result.version],
  ["image-ref", "GRANARY_IMAGE_REF", (result) => result.image_ref],
  ["url", "GRANARY_RELEASE_URL", (result) => result.url],
  ["publish-id", "GRANARY_PUBLISH_ID", (result) => result.publish_id ?? result.params?.publish_id],
  ["state", "GRANARY_STATE", (result) => result.state ?? stateOf(result)],
];

/** What a problem says of the publish: one that takes too long goes on, and of one that nobody answered for nothing is known. */
function stateOf({ code, params }) {
  if (code === "TIMED_OUT") return params?.state;
  return code === undefined ? undefined : code === "OUTCOME_UNKNOWN" ? "unknown" : "failed";
}

async function main(env) {
  checkNodeVersion(process.versions.node);
  if (!fs.existsSync(COMMAND)) {
    await withCheckoutLock(root, async () => {
      await installDependencies(root);
      await build(root);
    });
  }
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "granary-publish-"));
  try {
    const resultFile = path.join(folder, "result.json");
    const { status } = spawnSync(process.execPath, [COMMAND, ...argumentsFrom(env)], {
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...env, GRANARY_OUTPUT_FILE: resultFile },
    });
    writeOutputs(env, fs.existsSync(resultFile) ? JSON.parse(fs.readFileSync(resultFile, "utf8")) : {});
    return status ?? 1;
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

function argumentsFrom(env) {
  const activate = env["GRANARY_ACTIVATE"] || "true";
  if (activate !== "true" && activate !== "false")
    throw new Error(`activate must be true or false, not ${JSON.stringify(activate)}`);
  return [
    "publish",
    ...(env["GRANARY_PREVIEW"] ? ["--preview", env["GRANARY_PREVIEW"]] : []),
    ...(activate === "false" ? ["--no-activate"] : []),
    "--",
    env["GRANARY_PATH"] || ".",
  ];
}

function writeOutputs(env, result) {
  const values = OUTPUTS.map(([output, variable, value]) => [output, variable, oneLine(value(result) ?? "")]);
  if (env["GITHUB_OUTPUT"])
    fs.appendFileSync(
      env["GITHUB_OUTPUT"],
      values.map(([output, , value]) => `${output}=${value}\n`).join(""),
    );
  if (env["GRANARY_DOTENV"])
    fs.writeFileSync(
      env["GRANARY_DOTENV"],
      values.map(([, variable, value]) => `${variable}=${value}\n`).join(""),
    );
}

/** A line break in a value would begin another output. */
function oneLine(value) {
  return String(value).replace(/[\r\n]+/g, " ");
}

try {
  process.exitCode = await main(process.env);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
