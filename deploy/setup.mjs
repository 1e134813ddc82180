#!/usr/bin/env node
/**
 * What `npm run demo`, `npm test`, `npm start` and `npm run bench` run first, with nothing but Node itself: dependencies,
 * build, nats-server, each only if it is not there yet. `--test` also sees to the optional test clients. It asks no
 * question, prints short lines to stderr and changes nothing outside the checkout and the cache folder (see
 * deploy/setup/cache-folder.mjs), except test clients where that is allowed.
 */
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "./setup/build.mjs";
import { withCheckoutLock } from "./setup/checkout-lock.mjs";
import { installDependencies } from "./setup/dependencies.mjs";
import { natsServer } from "./setup/nats-server.mjs";
import { checkNodeVersion } from "./setup/node-version.mjs";
import { say } from "./setup/say.mjs";
import { SetupError } from "./setup/setup-error.mjs";
import { installTestClients } from "./setup/test-clients.mjs";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

async function setUp(args) {
  checkNodeVersion(process.versions.node);
  await withCheckoutLock(root, async () => {
    await installDependencies(root);
    await build(root);
  });
  await natsServer(process.env);
  if (args.includes("--test")) await installTestClients(process.env);
}

try {
  await setUp(process.argv.slice(2));
} catch (error) {
  say(error instanceof SetupError ? error.message : error.stack);
  process.exitCode = 1;
}
